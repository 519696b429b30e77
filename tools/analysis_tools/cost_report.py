#!/usr/bin/env python
"""Accuracy beside what it costs: Mult-Adds, parameters and inference memory of several methods, as table and picture.

    python tools/analysis_tools/cost_report.py PLA=configs/pla/resnet50_market.py,configs/pla/resnet50_duke.py \\
        MGN=configs/mgn/resnet50_market.py,configs/mgn/resnet50_duke.py --out work_dirs/costs
    python tools/analysis_tools/cost_report.py A=a.py B=b.py --results accuracies.json --batch-size 64 --out costs

A row is NAME=CONFIG[,CONFIG ...]: its costs are those of the first config, its accuracy the mean over data sets of what
the metafile.yml beside each config says, or of --results: {"NAME": {"data set": percent}}. Only data sets that every
row with results has count, single query and not re-ranked, so that means can be compared; they are named. Written are
OUT.md, OUT.csv and OUT.png: Figures 4 and 5 of PLA. Without an accuracy there is no picture, and an earlier OUT.png is
removed.

Costs are those of get_flops.py: of what the feature depends on, for an input of the size that the config tests with.
A Mult-Add is one multiplication with its addition; PLA counts the two as two operations, which have a column of their
own. Memory is the input and the peak of one forward pass of a batch, divided by its images, without the weights; on a
CPU it is measured in a process of its own for each config, on CUDA in this one.
"""

import argparse
import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import torch
import yaml
from get_flops import MEMORY, _positive, build_model, count, input_shape, measure, memory_in_new_process, read_config

from mmreid.evaluation.tables import text_table
from mmreid.utils.command_line import check_device, check_output, plain_errors, say
from mmreid.visualization import draw_costs

#: Results of a metafile that are no plain ones: the paper's figures are without them.
VARIANTS = ('multi-query', 're-ranked')
#: Of classifiers, which are no part of what a feature costs.
NUM_CLASSES = 2
COLUMNS = ('name', 'input', 'params', 'mult_adds', 'operations', 'weights_bytes', 'bytes_per_image', 'batch_bytes',
           'accuracy', 'datasets', 'config')


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='+', metavar='NAME=CONFIG[,CONFIG]', help='a method; its first config is '
                        'measured, all of them have results')
    parser.add_argument('--out', default='costs', metavar='PREFIX', help='of the files to write (default: costs)')
    parser.add_argument('--accuracy', choices=('published', 'measured'), default='published',
                        help='which results of the metafiles count (default: published)')
    parser.add_argument('--results', metavar='FILE.json', help='accuracies of rows that are not in a metafile; they '
                        'take the place of those that are')
    parser.add_argument('--metric', default='mAP', help='(default: mAP)')
    parser.add_argument('--batch-size', type=_positive, default=16, help='of the memory (default: 16)')
    parser.add_argument('--no-memory', action='store_true', help='only count, measure nothing')
    parser.add_argument('--shape', type=_positive, nargs=2, metavar=('H', 'W'), help='input size of all (default: that '
                        'of the test pipeline of each)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', action='store_true', help='measure the memory under autocast')
    args = parser.parse_args(argv)
    args.cfg_options, args.repeats, args.num_classes = None, 1, NUM_CLASSES  # of get_flops
    return args


def parse_rows(texts: Sequence[str]) -> dict[str, list[str]]:
    """Configs by name.

    Raises:
        ValueError: If a row has no name, no config or one that does not exist, or a name is there twice.
    """
    rows: dict[str, list[str]] = {}
    for text in texts:
        name, _, paths = text.partition('=')
        configs = [path for path in paths.split(',') if path]
        if not name or not configs:
            raise ValueError(f'a row must be NAME=CONFIG[,CONFIG ...], got {text!r}')
        missing = [path for path in configs if not Path(path).is_file()]
        if missing:
            raise ValueError(f'{", ".join(missing)} of the row {name!r} does not exist')
        if name in rows:
            raise ValueError(f'there are two rows named {name!r}; give all configs of a method in one row')
        rows[name] = configs
    return rows


# ---- accuracies -------------------------------------------------------------


def of_metafile(path: str, published: bool) -> dict[str, dict[str, float]]:
    """Metrics of the plain results of a config by data set, from the metafile in its folder; empty where it has none.

    Raises:
        ValueError: If there are several results for one data set.
    """
    file = Path(path).parent / 'metafile.yml'
    models = yaml.safe_load(file.read_text(encoding='utf-8'))['Models'] if file.is_file() else []
    found: dict[str, dict[str, float]] = {}
    for model in models:
        if Path(model['Config']).name != Path(path).name:
            continue
        for result in model['Results']:
            dataset = _plain_name(result['Dataset'])
            if result['Published'] != published or any(_plain_name(variant) in dataset for variant in VARIANTS):
                continue
            if found.get(dataset, {}).keys() & result['Metrics'].keys():
                raise ValueError(f'{file} has several results of {path} on {result["Dataset"]}; say which one is '
                                 'meant with --results')
            found[dataset] = {**found.get(dataset, {}), **result['Metrics']}
    return found


def read_results(file: Optional[str], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Given accuracies by row and data set.

    Raises:
        ValueError: If the file is something else, has a number that is no percentage, or names a row that is not there
            or a data set twice.
    """
    if file is None:
        return {}
    try:
        read = json.loads(Path(file).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{file} is no JSON: {error}') from error
    plain = isinstance(read, dict) and all(
        isinstance(row, dict) and all(type(value) in (int, float) for value in row.values()) for row in read.values())
    if not plain:
        raise ValueError(f'{file} must be {{"NAME": {{"data set": percent}}}}')
    for name, row in read.items():
        for dataset, value in row.items():
            if not 0 <= value <= 100:  # also NaN, which Python reads
                raise ValueError(f'{file} must have percentages from 0 to 100, and {name} has {value} on {dataset}')
        if len({_plain_name(dataset) for dataset in row}) < len(row):
            raise ValueError(f'{file} has a data set of {name} twice: {", ".join(row)}')
    unknown = sorted(set(read) - set(names))
    if unknown:
        raise ValueError(f'{file} has results of {unknown}, and the rows are {list(names)}')
    return {name: {_plain_name(dataset): float(value) for dataset, value in row.items()} for name, row in read.items()}


def accuracies(rows: Mapping[str, Sequence[str]], args: argparse.Namespace) -> tuple[dict[str, float], list[str]]:
    """Mean by row over the data sets that all rows with results have, and these data sets.

    Raises:
        ValueError: If two configs of a row have results on one data set, or no result has the metric.
    """
    given = read_results(args.results, list(rows))
    told = {name: _of_configs(name, paths, args.accuracy == 'published') for name, paths in rows.items()
            if name not in given}
    known = sorted({metric for row in told.values() for metrics in row.values() for metric in metrics})
    if known and args.metric not in known:
        raise ValueError(f'no result of the metafiles has --metric {args.metric}; those there are: {", ".join(known)}')
    found = {name: given.get(name) or {dataset: metrics[args.metric] for dataset, metrics in told.get(name, {}).items()
                                       if args.metric in metrics} for name in rows}
    found = {name: results for name, results in found.items() if results}
    common = sorted(set.intersection(*map(set, found.values()))) if found else []
    means = {name: sum(results[dataset] for dataset in common) / len(common) for name, results in found.items()
             } if common else {}
    return means, common


def _of_configs(name: str, paths: Sequence[str], published: bool) -> dict[str, dict[str, float]]:
    """Results of all configs of a row."""
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        results = of_metafile(path, published)
        both = sorted(set(found) & set(results))
        if both:
            raise ValueError(f'{path} and an earlier config of the row {name!r} both have results on '
                             f'{", ".join(both)}: name one config for each data set, or give its accuracy with '
                             '--results')
        found.update(results)
    return found


def _plain_name(dataset: str) -> str:
    """``CUHK03 (detected)`` and ``CUHK03, detected`` are one."""
    return ' '.join(re.findall(r'[a-z0-9]+', dataset.lower()))


# ---- costs ------------------------------------------------------------------


def row_of(name: str, path: str, args: argparse.Namespace) -> dict[str, Any]:
    """Costs of a config.

    Raises:
        ValueError: If neither the command line nor a test pipeline tells the size of the images.
    """
    cfg = read_config(path, None)
    shape = tuple(args.shape or input_shape(cfg) or ())
    if not shape:
        raise ValueError(f'the test pipeline of {path} has no Resize with a scale that would tell the size of its '
                         'images; name it with --shape H W')
    args = argparse.Namespace(**{**vars(args), 'shape': list(shape)})
    model = build_model(cfg, args.num_classes)
    counted = count(model, shape)
    row = dict(name=name, config=path, input=f'{shape[0]} x {shape[1]}', params=counted['params']['features'],
               mult_adds=counted['mult_adds']['features'], operations=2 * counted['mult_adds']['features'],
               weights_bytes=counted['weights_bytes'], bytes_per_image=None, batch_bytes=None)
    if not args.no_memory:
        if torch.device(args.device).type == 'cuda':
            grown = measure(model.to(args.device), path, args.batch_size, args)['forward_bytes']
        else:
            del model  # of two processes with a model each, one is enough
            grown = memory_in_new_process(path, args.batch_size, args)
        if grown is not None:
            taken = grown + args.batch_size * 3 * shape[0] * shape[1] * 4
            row.update(bytes_per_image=taken / args.batch_size, batch_bytes=counted['weights_bytes'] + taken)
    return row


# ---- writing ----------------------------------------------------------------


def table(rows: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> str:
    """One row a method, in Markdown."""
    header = ['method', 'input', 'params (M)', 'Mult-Adds (G)', 'operations (G)', 'weights (MB)', 'an image (MB)',
              f'batch of {args.batch_size} (MB)', f'{args.metric} (%)']
    units = (('params', 1e6, 2), ('mult_adds', 1e9, 2), ('operations', 1e9, 2), ('weights_bytes', 1e6, 0),
             ('bytes_per_image', 1e6, 1), ('batch_bytes', 1e6, 0), ('accuracy', 1, 1))
    return text_table(header, [[row['name'], row['input'], *(
        'n/a' if row[key] is None else f'{row[key] / unit:.{digits}f}' for key, unit, digits in units)]
        for row in rows])


def remarks(datasets: Sequence[str], args: argparse.Namespace) -> str:
    """What was measured, and where the accuracy comes from."""
    lines = []
    if not args.no_memory:
        kind = torch.device(args.device).type
        lines.append(f'Memory on {kind}, {"autocast" if args.amp else "float32"}, batch of {args.batch_size}: input '
                     f'and {MEMORY[kind]}. An image: without the weights, divided by the batch; a batch: with them.')
    lines.append('Operations: multiplications and additions each, as PLA counts; twice the Mult-Adds.')
    if datasets:
        source = f'{args.accuracy} in the metafiles' + (f', or in {args.results}' if args.results else '')
        lines.append(f'{args.metric}: mean over {", ".join(datasets)}; {source}.')
    else:
        lines.append(f'No accuracy ({args.accuracy} {args.metric}): there are no results, or no data set that all rows '
                     'with results share.')
    return '\n'.join(lines)


def main(argv=None) -> None:
    """Count, measure, write and print."""
    args = parse_args(argv)
    with plain_errors():
        check_device(args.device)
        configs = parse_rows(args.rows)
        markdown, sheet, picture = (check_output(f'{args.out}{suffix}', (suffix, ), '--out', [args.results])
                                    for suffix in ('.md', '.csv', '.png'))
        means, datasets = accuracies(configs, args)
        rows = [dict(row_of(name, paths[0], args), accuracy=means.get(name), datasets='; '.join(datasets))
                for name, paths in configs.items()]
        text = f'{table(rows, args)}\n\n{remarks(datasets, args)}\n'
        markdown.write_text(text, encoding='utf-8')
        with sheet.open('w', newline='', encoding='utf-8') as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        if means:
            draw_costs(rows, picture, args.metric)
        else:
            picture.unlink(missing_ok=True)  # one of earlier numbers would be taken for that of these
        say(f'{text}\nwritten: {markdown}, {sheet}{f", {picture}" if means else "; no picture without an accuracy"}')


if __name__ == '__main__':
    main()
