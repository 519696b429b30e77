#!/usr/bin/env python
"""Take the images and the 20 published test sets out of cuhk-03.mat (needs h5py).

    python tools/dataset_converters/cuhk03.py data/cuhk03_release/cuhk-03.mat data/cuhk03_release

An interrupted conversion is continued by the same command. Read the result with ``dict(type='CUHK03')``; the 767/700
protocol also needs its two published .mat files in the folder.
"""

import argparse

from mmreid.datasets.cuhk03_mat import PUBLISHED_IMAGES, convert_cuhk03


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('mat', help='cuhk-03.mat of the release')
    parser.add_argument('out', help='folder to write to, for example that of the .mat')
    parser.add_argument('--force', action='store_true', help='replace files that hold something else')
    return parser.parse_args()


def main() -> None:
    """Convert and report."""
    args = parse_args()
    try:
        written = convert_cuhk03(args.mat, args.out, force=args.force)
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit('interrupted; the same command continues') from None
    for folder, number in written.items():
        published = PUBLISHED_IMAGES[folder.removeprefix('images_')]
        note = '' if number.images == published else f' (published: {published:,})'
        print(f'{args.out}/{folder}: {number.images:,} images{note}, {number.new:,} of them written now')


if __name__ == '__main__':
    main()
