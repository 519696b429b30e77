#!/usr/bin/env python
"""Draw and print what happened in the rounds of trainings with pseudo labels.

    python tools/visualization/plot_rounds.py work_dirs/pul/resnet50_duke2market
    python tools/visualization/plot_rounds.py pul_s0 pul_s1 all_s0 all_s1 --names PUL PUL "no selection" "no selection"

Reads rounds.json, also of a training that still runs. Work directories with the same name are seeds of one method:
drawn and printed are their mean over the rounds that all of them have, with the smallest and the largest. Round 0 is
the model before the first round. Precision and recall are those of pairs of images with one label.
"""

import argparse
from collections import Counter
from pathlib import Path
from statistics import fmean

from mmreid.evaluation.tables import text_table
from mmreid.utils.command_line import check_output, plain_errors, say
from mmreid.visualization import draw_rounds, read_rounds
from mmreid.visualization.rounds_plot import QUANTITIES, Quantity, Run, metric_quantities


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work directory of a training in rounds')
    parser.add_argument('--names', nargs='+', metavar='NAME', help='a name for each work directory; the same name: '
                        'seeds of one method (default: the names of the folders)')
    parser.add_argument('--out', metavar='FILE', help='picture to write: .png, .pdf or .svg (default: rounds.png, '
                        'in the work directory if there is only one)')
    return parser.parse_args(argv)


def read_runs(work_dirs: list[str], names: list[str]) -> dict[str, list[Run]]:
    """Runs by name, those with the same name together.

    Raises:
        ValueError: If there is not a name for each work directory, one is there twice, or has damaged records.
        FileNotFoundError: If one has no records.
    """
    if len(names) != len(work_dirs):
        raise ValueError(f'--names must have one name for each work directory: {len(work_dirs)} work directories, '
                         f'{len(names)} names')
    times = Counter(Path(work_dir).resolve() for work_dir in work_dirs)
    twice = [str(path) for path, count in times.items() if count > 1]
    if twice:
        raise ValueError(f'a work directory is given twice: {", ".join(twice)}')
    runs: dict[str, list[Run]] = {}
    for work_dir, name in zip(work_dirs, names):
        runs.setdefault(name, []).append(read_rounds(work_dir))
    return runs


def default_names(work_dirs: list[str]) -> list[str]:
    """Names of the folders; the paths as they are given where two folders have the same, for they are no seeds."""
    folders = [Path(work_dir).resolve().name for work_dir in work_dirs]
    return folders if len(set(folders)) == len(folders) else list(work_dirs)


def rounds_table(seeds: list[Run]) -> str:
    """Round by row: the numbers of a run, or the mean of several and their range, where all have one."""
    columns: dict[str, list[dict[int, str]]] = {}
    for item in (*QUANTITIES, *metric_quantities(seeds)):
        series = [values for values in map(item.values, seeds) if values]
        if series:
            columns.setdefault(item.column, []).append(_cells(item, series))
    numbers = sorted({number for parts in columns.values() for part in parts for number in part})
    rows = [[str(number), *('/'.join(part.get(number, '') for part in parts) if any(number in part for part in parts)
                            else '' for parts in columns.values())] for number in numbers]
    return text_table(['round', *columns], rows)


def _cells(item: Quantity, series: list[dict[int, float]]) -> dict[int, str]:
    """A column by round; ranges are left out where the column has other numbers, too."""
    cells = {}
    for number in set.intersection(*map(set, series)):
        values = [run[number] for run in series]
        mean, *ends = (format(value, item.form) for value in (fmean(values), min(values), max(values)))
        cells[number] = f'{mean} ({"-".join(ends)})' if len(values) > 1 and not item.line else mean
    return cells


def main(argv=None) -> None:
    """Read, draw and print."""
    args = parse_args(argv)
    with plain_errors():
        runs = read_runs(args.work_dirs, args.names or default_names(args.work_dirs))
        folder = Path(args.work_dirs[0]) if len(args.work_dirs) == 1 else Path()
        out = check_output(args.out or (folder.parent if folder.is_file() else folder) / 'rounds.png',
                           ('.png', '.pdf', '.svg'), '--out', args.work_dirs)
        draw_rounds(runs, out)
        for name, seeds in runs.items():
            say(name + (f', mean (smallest-largest) of {len(seeds)} runs' if len(seeds) > 1 else ''))
            say(rounds_table(seeds) + '\n')
        say(f'written: {out}')


if __name__ == '__main__':
    main()
