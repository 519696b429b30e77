#!/usr/bin/env python
"""Draw and print what a training with searched hyper-parameters tried, chose and spent.

    python tools/analysis_tools/plot_pla.py work_dirs/pla/resnet50_market
    python tools/analysis_tools/plot_pla.py work_dirs/pla/resnet50_market --cycle 2 --out cycle2.png --markdown pla.md

Reads pla/trials.jsonl and pla/cycles.jsonl of a training with ProgressiveLearningLoop, also of one that still runs,
and the config that lies beside them, which tells the ranges and the search: without it there are no pictures of the
expected improvement.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmreid.evaluation.tables import text_table
from mmreid.utils.checkpoint import write_text
from mmreid.utils.command_line import check_output, plain_errors, say
from mmreid.visualization import draw_progress, read_progress
from mmreid.visualization.progressive_plot import Progress, exploring_share, is_finite, time_shares


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', metavar='WORK_DIR', help='work directory of the training')
    parser.add_argument('--config', metavar='CONFIG.py', help='its config (default: the newest in WORK_DIR)')
    parser.add_argument('--cycle', type=int, metavar='N', help='cycle whose expected improvement is drawn (default: '
                        'the last that chose a set)')
    parser.add_argument('--out', metavar='FILE', help='picture to write: .png, .pdf or .svg (default: pla/progress.png '
                        'in WORK_DIR)')
    parser.add_argument('--markdown', metavar='FILE.md', help='the tables, also as a file')
    return parser.parse_args(argv)


def trials_table(progress: Progress) -> str:
    """A row for each trial; the lowest objective of each cycle is marked."""
    best = {number: min((trial['objective'] for trial in progress.of_cycle(number)
                         if is_finite(trial['objective'])), default=None)
            for number in {trial['cycle'] for trial in progress.trials}}
    rows = []
    for trial in progress.trials:
        losses, objective = trial.get('losses') or [], trial['objective']
        mark = ' *' if is_finite(objective) and objective == best[trial['cycle']] else ''
        rows.append([str(trial['cycle']), str(trial['trial']), *_values(progress, trial),
                     *(f'{losses[place]:.4f}' if losses else '' for place in (0, -1)),
                     f'{objective:.4f}{mark}' if is_finite(objective) else 'failed', _seconds(trial.get('seconds')),
                     trial.get('note') or ''])
    header = ['cycle', 'trial', *progress.names, 'first loss', 'last loss', 'objective', 'seconds', 'note']
    return text_table(header, rows)


def cycles_table(progress: Progress) -> str:
    """A row for each cycle: what was chosen and what came of it."""
    lines = {line['cycle']: line for line in progress.cycles}
    rows = []
    for number, (explored, exploited) in time_shares(progress).items():
        line, trials = lines.get(number, {}), progress.of_cycle(number)
        known = [trial['objective'] for trial in trials if is_finite(trial['objective'])]
        ends = [line.get('epoch_begin'), line.get('epoch_end')]
        failed = len(trials) - len(known)
        rows.append([
            str(number), f'{len(trials)}' + (f' ({failed} failed)' if failed else ''),
            f'{min(known):.4f}' if known else '', *_values(progress, line), _number(line.get('expected_improvement')),
            # Epochs are counted from 0 in the record, and from 1 in logs.
            f'{ends[0] + 1}-{ends[1]}' if None not in ends else '', _number(line.get('lowest_loss')),
            _seconds(explored), _seconds(exploited),
            f'{100 * explored / (explored + exploited):.1f}' if explored + exploited else ''])
    return text_table(['cycle', 'trials', 'lowest objective', *progress.names, 'EI', 'epochs', 'lowest loss',
                       'exploring (s)', 'exploiting (s)', 'exploring %'], rows)


def _values(progress: Progress, line: Mapping[str, Any]) -> Sequence[str]:
    values = line.get('values') or {}
    return [f'{values[name]:.4g}' if name in values else '' for name in progress.names]


def _number(value: Any) -> str:
    return f'{value:.4f}' if is_finite(value) else ''


def _seconds(value: Any) -> str:
    return f'{value:.1f}' if is_finite(value) else ''


def report(progress: Progress) -> str:
    """Both tables under titles, in markdown."""
    share = 100 * exploring_share(progress)
    return '\n\n'.join(['## Cycles', cycles_table(progress), f'Share of the time spent exploring: {share:.1f} %',
                        '## Trials (*: lowest objective of its cycle)', trials_table(progress)]) + '\n'


def main(argv=None) -> None:
    """Read, draw and print."""
    args = parse_args(argv)
    with plain_errors():
        progress = read_progress(args.work_dir, args.config)
        out = check_output(args.out or Path(args.work_dir) / 'pla' / 'progress.png', ('.png', '.pdf', '.svg'), '--out',
                           [args.config])
        markdown = args.markdown and check_output(args.markdown, ('.md', ), '--markdown', [args.config, out])
        draw_progress(progress, out, args.cycle)
        say(report(progress))
        if progress.space is None:
            say(f'no config with train_cfg.space lies in {args.work_dir}: the expected improvement is not drawn; '
                '--config names one')
        if markdown:
            write_text(report(progress), markdown)
        say('written: ' + ', '.join(str(path) for path in (out, markdown) if path))


if __name__ == '__main__':
    main()
