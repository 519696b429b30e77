#!/usr/bin/env python
"""Features and ranked lists of any images by a trained network.

    python tools/infer.py CONFIG CHECKPOINT GALLERY --query someone.jpg --out found

GALLERY and --query are a folder (searched at any depth), an image file, or features that were written before (*.npz of
this tool or of tools/test.py --dump), which are not extracted again. Written into the folder --out:

    gallery.npz, query.npz   features <split>_feats (N, D) float32 and <split>_paths (N,)
    ranked.csv               a line for each query and rank: query,rank,gallery,distance
    ranked/0001_NAME.png     the lists, drawn

Without --query, features of the gallery alone are written.
"""

import argparse
from pathlib import Path
from typing import Optional

import cv2

from mmreid.apis import ImageFeatures, RankedLists, ReIDInferencer
from mmreid.apis.images import image_name
from mmreid.datasets.data_root import resolve_data_root
from mmreid.datasets.image_io import ImageReadError, read_image
from mmreid.evaluation import read_image_features
from mmreid.utils.command_line import check_output, plain_errors, say
from mmreid.utils.distance import DISTANCES
from mmreid.utils.option_action import OptionAction
from mmreid.visualization import ranked_list_sheet


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config that the model was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('gallery', metavar='GALLERY', help='images to search in: folder, file, or features *.npz')
    parser.add_argument('--query', metavar='FILE_OR_FOLDER', help='images to search for, likewise')
    parser.add_argument('--topk', type=int, default=10, help='length of the ranked lists (default: 10)')
    parser.add_argument('--out', metavar='DIR', default='ranked_lists', help='folder to write (default: ranked_lists)')
    parser.add_argument('--force', action='store_true', help='replace what an earlier run has written there')
    parser.add_argument('--sheets', type=int, default=100, metavar='N',
                        help='draw the lists of the first N queries (default: 100; 0: none)')
    parser.add_argument('--metric', choices=DISTANCES, help="distance (default: that of the config's test evaluator)")
    parser.add_argument('--rerank', action='store_true', help='re-rank by k-reciprocal encoding')
    parser.add_argument('--skip-unreadable', action='store_true', help='leave files out that cannot be read')
    parser.add_argument('--tta', metavar='NAME', help='as for tools/test.py')
    parser.add_argument('--amp', action='store_true', help='float16 on CUDA, bfloat16 on a CPU')
    parser.add_argument('--device', help='cpu, cuda or cuda:N (default: cuda where there is one)')
    parser.add_argument('--batch-size', type=int, default=64, help='images a forward pass (default: 64)')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read images (default: 2)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE',
                        help='change config entries, for example model.feature_key=pooled')
    args = parser.parse_args(argv)
    for name, least in (('topk', 1), ('sheets', 0), ('batch_size', 1), ('num_workers', 0)):
        if getattr(args, name) < least:
            parser.error(f'--{name.replace("_", "-")} must be at least {least}, got {getattr(args, name)}')
    return args


def prepare_outputs(args: argparse.Namespace) -> Path:
    """Make the folder, and see that nothing there would be replaced.

    Raises:
        ValueError: If an output exists and ``--force`` is not given, or is one of the inputs.
    """
    out = Path(args.out)
    names = ['gallery.npz'] + (['query.npz', 'ranked.csv'] if args.query else [])
    for name in names:
        check_output(out / name, ('.npz', '.csv'), '--out', (args.gallery, args.query, args.checkpoint))
    existing = [name for name in (*names, 'ranked') if (out / name).exists()]
    if existing and not args.force:
        raise ValueError(f'{out} holds {", ".join(existing)} of an earlier run; name another folder with --out, or '
                         'replace them with --force')
    return out


def remove_earlier(args: argparse.Namespace, out: Path) -> None:
    """Remove what is left of an earlier run, once the features of this one are there: it belongs to others."""
    if (out / 'ranked.csv').exists():
        for old in (out / 'ranked').glob('[0-9][0-9][0-9][0-9]*_*.png'):
            old.unlink()
        (out / 'ranked.csv').unlink()
    given = [Path(source).resolve() for source in (args.query, args.gallery) if source]
    for source, path in ((args.query, out / 'query.npz'), (args.gallery, out / 'gallery.npz')):
        if (source is None or source.endswith('.npz')) and path.resolve() not in given:
            path.unlink(missing_ok=True)


def features_of(source: str, split: str, inferencer: ReIDInferencer, args: argparse.Namespace) -> ImageFeatures:
    """Features of a folder, a file or an earlier run; those that are new go into the output folder."""
    if source.endswith('.npz'):
        splits = read_image_features(source)
        return ImageFeatures(*splits[split]) if split in splits else ImageFeatures.load(source)
    found = inferencer.extract(resolve_data_root(source), args.num_workers, args.skip_unreadable, progress=True)
    for _, reason in found.unreadable:
        say(f'left out: {reason}')
    path = Path(args.out) / f'{split}.npz'
    found.save(path, split)
    say(f'written: {path}: {len(found):,} images, {found.feats.shape[1]} numbers each')
    return found


def draw_lists(lists: RankedLists, folder: Path, count: int) -> None:
    """Draw the lists of the first queries, a sheet each."""
    for number in range(min(count, len(lists))):
        name = lists.query_paths[number]
        try:
            sheet = ranked_list_sheet(read_image(name), [read_image(path) for path in lists.paths(number)],
                                      lists.distances[number], title=Path(name).name)
        except ImageReadError as error:
            say(f'{error}: the ranked lists are in ranked.csv, and are not drawn')
            return
        folder.mkdir(exist_ok=True)
        path = folder / f'{number + 1:04d}_{image_name(name)}.png'
        path.write_bytes(cv2.imencode('.png', sheet)[1].tobytes())  # cv2.imwrite cannot write every path
    if count:
        say(f'written: {folder}: the lists of {min(count, len(lists)):,} of {len(lists):,} queries')


def infer(args: argparse.Namespace, out: Path) -> Optional[RankedLists]:
    """Extract, rank and write."""
    inferencer = ReIDInferencer(args.config, args.checkpoint, args.device, args.tta, args.batch_size, args.amp,
                                args.cfg_options)
    if inferencer.tta:
        say(f'Test-time augmentation: {inferencer.tta} (--tta none: the image alone)')
    # The few queries first: what is wrong with them is told before a large gallery is read.
    query = None if args.query is None else features_of(args.query, 'query', inferencer, args)
    gallery = features_of(args.gallery, 'gallery', inferencer, args)
    remove_earlier(args, out)
    if query is None:
        return None
    steps = [dict(type='KReciprocalReRanking')] if args.rerank else []
    lists = inferencer.rank(query, gallery, args.topk, args.metric, steps)
    lists.write_csv(out / 'ranked.csv')
    say(f'written: {out / "ranked.csv"}: {len(lists):,} queries in a gallery of {len(gallery):,}, {lists.metric} '
        f'distance{", re-ranked" if args.rerank else ""}')
    draw_lists(lists, out / 'ranked', args.sheets)
    return lists


def main(argv=None) -> None:
    """Run."""
    args = parse_args(argv)
    with plain_errors():
        infer(args, prepare_outputs(args))


if __name__ == '__main__':
    main()
