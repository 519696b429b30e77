#!/usr/bin/env python
"""Mean and standard deviation over evaluations, for data sets with several splits and a model for each.

    python tools/analysis_tools/average_results.py split0.json split1.json ... [--out mean.json]

The files are those that ``tools/test.py`` and ``eval_features.py`` write.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from mmreid.evaluation.tables import text_table
from mmreid.utils.checkpoint import write_text

#: What must be equal in all files.
SETTINGS = ('metric', 'post_processing')


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Average evaluations over splits.')
    parser.add_argument('reports', nargs='+', metavar='REPORT.json')
    parser.add_argument('--out', metavar='MEAN.json', help='also write the result')
    return parser.parse_args(argv)


def read_report(path: str) -> dict[str, Any]:
    """One report.

    Raises:
        ValueError: If the file is none.
    """
    try:
        report = json.loads(Path(path).read_text(encoding='utf-8'))
        report['protocols'], *(report[key] for key in SETTINGS)
        return report
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no report of an evaluation: {type(error).__name__} {error}') from error


def average(paths: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """``{protocol: {metric: {mean, std}}}`` over reports; the deviation is that of the population.

    Raises:
        ValueError: If the reports were made with different settings, protocols or metrics.
    """
    reports = [read_report(path) for path in paths]
    first = reports[0]
    for path, report in zip(paths, reports):
        for key in SETTINGS:
            if _comparable(report[key]) != _comparable(first[key]):
                raise ValueError(f'{path} has {key} {report[key]!r}, {paths[0]} has {first[key]!r}')
        if report['protocols'].keys() != first['protocols'].keys():
            raise ValueError(f'{path} has the protocols {list(report["protocols"])}, {paths[0]} has '
                             f'{list(first["protocols"])}')
    result = {}
    for name, protocol in first['protocols'].items():
        keys = [key for key in protocol['metrics'] if not key.endswith('-std')]
        values = {key: [report['protocols'][name]['metrics'].get(key) for report in reports] for key in keys}
        lacking = [key for key in keys if None in values[key]]
        if lacking:
            raise ValueError(f'{lacking[0]} of {name} is not in all reports')
        result[name] = {key: dict(mean=fmean(values[key]), std=pstdev(values[key])) for key in keys}
    return result


def _comparable(setting: Any) -> str:
    """A setting without the share of variance that PCA explains, which differs from split to split."""
    return re.sub(r', [\d.]+ % of the variance', '', str(setting))


def main(argv=None) -> None:
    """Print the table."""
    args = parse_args(argv)
    try:
        result = average(args.reports)
    except ValueError as error:
        sys.exit(f'ValueError: {error}')
    keys = list(dict.fromkeys(key for scores in result.values() for key in scores))
    rows = [[name] + [f'{scores[key]["mean"]:.2f} ± {scores[key]["std"]:.2f}' if key in scores else '' for key in keys]
            for name, scores in result.items()]
    print(f'mean ± standard deviation over {len(args.reports)} evaluations, in %')
    print(text_table(['protocol', *keys], rows))
    if args.out:
        write_text(json.dumps(dict(reports=args.reports, protocols=result), indent=1) + '\n', args.out)


if __name__ == '__main__':
    main()
