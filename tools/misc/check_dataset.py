#!/usr/bin/env python
"""Examine a dataset before a long training: folders, counts, identities, every file and what is in it.

    python tools/misc/check_dataset.py configs/ptl/densenet161_market.py       # all datasets of its loaders
    python tools/misc/check_dataset.py data/old_cameras --fix-list broken.txt   # the layout says what it is
    python tools/misc/check_dataset.py data/new_cameras --options labels=False 'camera_pattern=cam(\\d+)/'

Ends with status 1 if there are errors, 0 if there are none, 2 if nothing was examined: wrong options, no such config or
folder, a folder that nobody can recognise, an output that is there.

Errors, after which the data should not be used like this:

{errors}

Notes, that training and evaluation can live with:

{notes}

A picture is the same as another if its pixels are (without decoding: the bytes of its file). The fix list has one line
a file: path, error or note, kind, reason, separated by tabs; `cut -f1` gives the paths. Of copies that are only a note
it leaves out the first. Nothing is ever changed or removed.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.registry import init_default_scope
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmreid.datasets import inspection
from mmreid.datasets.data_root import resolve_data_root
from mmreid.datasets.inspection import ERRORS, NOTES, Inspection, Layout
from mmreid.evaluation.tables import text_table
from mmreid.registry import DATASETS
from mmreid.utils.command_line import check_output
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.option_action import OptionAction

_MAX_NOTES = 10  # lines printed for each kind of note; errors are all printed


def parse_args() -> argparse.Namespace:
    """Command line."""
    kinds = dict(errors=_describe(ERRORS), notes=_describe(NOTES))
    parser = argparse.ArgumentParser(description=__doc__.format(**kinds),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('target', nargs='?', metavar='CONFIG|PATH',
                        help='config whose data loaders are examined, or folder of a dataset')
    parser.add_argument('--type', help='type of the dataset in the folder (default: recognised by its layout)')
    parser.add_argument('--data-root', help='folder of the dataset, with --type; the same as PATH')
    parser.add_argument('--options', nargs='+', action=OptionAction, default={}, metavar='KEY=VALUE',
                        help='options of the dataset in the folder, for example box=labeled')
    parser.add_argument('--decode', action=argparse.BooleanOptionalAction, default=True,
                        help='decode every image (default: yes)')
    parser.add_argument('--num-workers', type=int, default=2, help='threads that read and decode (default: 2)')
    parser.add_argument('--fix-list', metavar='FILE', help='write the files concerned, one a line, with the reason')
    parser.add_argument('--force', action='store_true', help='replace the files of --fix-list and --json')
    parser.add_argument('--json', metavar='FILE', help='write everything that is printed as JSON')
    args = parser.parse_args()
    if args.target is None and args.type is None:
        parser.error('give a config, a folder, or --type')
    if args.target is not None and args.data_root is not None:
        parser.error('give the folder once: as PATH or as --data-root')
    if args.num_workers < 1:
        parser.error(f'--num-workers must be at least 1, got {args.num_workers}')
    return args


def dataset_configs(args: argparse.Namespace) -> tuple[list[dict], bool]:
    """Settings of the datasets to examine, each once, and whether their type was guessed."""
    if args.type is None and args.target.endswith('.py') and not Path(args.target).is_dir():
        if args.options:
            raise ConfigError('--options belongs to a folder; a config has its options in itself')
        config = load_config(args.target)
        loaders = [config.get(f'{name}_dataloader') for name in ('train', 'val', 'test')]
        found = [dict(loader.dataset.to_dict(), pipeline=[], cache=False) for loader in loaders if loader is not None]
        return [settings for row, settings in enumerate(found) if settings not in found[:row]], False
    root = args.data_root if args.target is None else args.target
    if args.type is None:
        layout = inspection.recognise_layout(root)
        print(f'"{root}" was recognised as {layout.type}: {layout.reason}')
        return layout.settings(**args.options), True
    try:
        DATASETS.get(args.type)
    except KeyError as error:
        raise ConfigError(f'--type {args.type}: {error.args[0]}') from None
    if root is not None and not Path(resolve_data_root(root)).exists():
        raise ConfigError(f'there is no folder "{resolve_data_root(root)}"')
    return Layout(args.type, root, '').settings(**args.options), False


@contextmanager
def progress_bar() -> Iterator[Callable[[int], Callable[[int], object]]]:
    """Bar on a terminal; nothing elsewhere. It must not write to the error output, where decoders complain."""
    columns = TextColumn('reading'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, disable=not sys.stdout.isatty(), redirect_stderr=False) as bar:

        def start(total: int) -> Callable[[int], object]:
            task = bar.add_task('reading', total=total)
            return lambda number: bar.advance(task, number)

        yield start


def print_report(result: Inspection, decoded: bool) -> None:
    """Print counts, sizes and findings."""
    if result.parts:
        print(_part_table(result))
    if decoded:
        whole = sum(fact.pixels is not None and not fact.problem for fact in result.facts.values())
        print(f'{whole:,} of {len(result.facts):,} images decoded\n\nimage sizes (height x width):')
        print('\n'.join(f'  {line}' for line in inspection.size_histogram(result.facts.values())))
    kinds = Counter(finding.kind for finding in result.findings)
    if kinds:
        rows = [[{**ERRORS, **NOTES}[kind], kind, 'error' if kind in ERRORS else 'note', f'{kinds[kind]:,}']
                for kind in (*ERRORS, *NOTES) if kind in kinds]
        print('\n' + text_table(['finding', 'kind', '', 'number'], rows))
    for kind in NOTES:
        found = [finding for finding in result.notes if finding.kind == kind]
        for finding in found[:_MAX_NOTES]:
            print(f'  note: {finding.message}')
        if len(found) > _MAX_NOTES:
            print(f'  note: ... and {len(found) - _MAX_NOTES:,} more of kind {kind}; --fix-list and --json have all')
    for finding in result.errors:
        print(f'  problem: {finding.message}')
    print(f'{len(result.errors):,} problem(s) found' if result.errors else 'No problem found')


def _part_table(result: Inspection) -> str:
    header = ['dataset', 'split', 'images', 'published', 'identities', 'published', 'cameras', 'junk, distractors',
              'without label', 'broken']
    rows = [[part.dataset, part.split, f'{part.images:,}', _or_dash(part.published_images), f'{part.identities:,}',
             _or_dash(part.published_identities), str(part.cameras), f'{part.nobody:,}', f'{part.unlabelled:,}',
             f'{part.broken:,}'] for part in result.parts]
    return '\n' + text_table(header, rows)


def _or_dash(number: int | None) -> str:
    return '-' if number is None else f'{number:,}'


def _describe(kinds: dict[str, str]) -> str:
    return '\n'.join(f'  {kind:<16} {meaning}' for kind, meaning in kinds.items())


def main() -> int:
    """Examine and report."""
    args = parse_args()
    sys.stdout.reconfigure(errors='backslashreplace')  # a path need not fit the encoding of the terminal
    init_default_scope('mmreid')
    try:
        for option, path in (('--fix-list', args.fix_list), ('--json', args.json)):
            if path and Path(path).exists() and not args.force:
                raise ValueError(f'{option}: {path} is there; --force replaces it')
            if path:
                check_output(path, (Path(path).suffix.lower(), ), option)
        settings, guessed = dataset_configs(args)
    except (ConfigError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    with progress_bar() as start:
        result = inspection.inspect_datasets(settings, decode=args.decode, num_threads=args.num_workers,
                                             guessed=guessed, start=start)
    print_report(result, args.decode)
    if args.fix_list:
        text = ''.join(f'{line}\n' for line in result.fix_list())
        Path(args.fix_list).write_text(text, encoding='utf-8', errors='surrogateescape')
    if args.json:
        Path(args.json).write_text(json.dumps(result.to_dict(), indent=2) + '\n', encoding='utf-8')
    return 1 if result.errors else 0


if __name__ == '__main__':
    sys.exit(main())
