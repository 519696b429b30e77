#!/usr/bin/env python
"""Mean and standard deviation over evaluations, for data sets with several splits and a model for each.

    python tools/analysis_tools/average_results.py split0.json split1.json ... [--out mean.json]

The files are those that ``tools/test.py`` and ``eval_features.py`` write.
"""

import argparse
import json
import re
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from mmreid.evaluation.tables import text_table
from mmreid.utils.checkpoint import write_text
from mmreid.utils.command_line import check_output, plain_errors, say

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
        numbers = [value for row in report['protocols'].values() for value in row['metrics'].values()]
        if not numbers or not all(isinstance(value, (int, float)) for value in numbers):
            raise ValueError('no metrics')
        _ = [report[key] for key in SETTINGS]
        return report
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is no report of an evaluation: {type(error).__name__} {error}') from error


def average(paths: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """``{protocol: {metric: {mean, std}}}`` over reports; the deviation is that of the population.

    Raises:
        ValueError: If the reports were made with different settings, protocols or metrics.
    """
    if len({Path(path).resolve() for path in paths}) != len(paths):
        raise ValueError('a report is given twice')
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
    for name in first['protocols']:
        draws = [report['protocols'][name].get('draws') for report in reports]
        if any(item != draws[0] for item in draws):
            raise ValueError(f'the draws of {name} differ: {draws}')
        keys = dict.fromkeys(key for report in reports for key in report['protocols'][name]['metrics']
                             if not key.endswith('-std'))
        values = {key: [report['protocols'][name]['metrics'].get(key) for report in reports] for key in keys}
        lacking = [key for key in keys if None in values[key]]
        if lacking:
            raise ValueError(f'{lacking[0]} of {name} is not in all reports')
        result[name] = {key: dict(mean=fmean(values[key]), std=pstdev(values[key])) for key in keys}
    return result


def _comparable(setting: Any) -> str:
    """A setting without what differs from split to split: the share of variance that PCA explains, and its file."""
    text = re.sub(r', [\d.]+ % of the variance', '', str(setting))
    return re.sub(r'fitted on [^)]*\.npz[^)]*', 'fitted on a file', text)


def main(argv=None) -> None:
    """Print the table."""
    args = parse_args(argv)
    with plain_errors():
        if args.out:
            check_output(args.out, ('.json', ), '--out', args.reports)
        result = average(args.reports)
        if args.out:
            write_text(json.dumps(dict(reports=args.reports, protocols=result), indent=1) + '\n', args.out)
    keys = list(dict.fromkeys(key for scores in result.values() for key in scores))
    rows = [[name] + [f'{scores[key]["mean"]:.2f} ± {scores[key]["std"]:.2f}' if key in scores else '' for key in keys]
            for name, scores in result.items()]
    say(f'mean ± standard deviation (of the population) over {len(args.reports)} evaluation(s), in %\n' +
        text_table(['protocol', *keys], rows))


if __name__ == '__main__':
    main()
