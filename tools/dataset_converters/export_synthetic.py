#!/usr/bin/env python
"""Draw the synthetic pedestrians into a folder laid out like Market-1501.

    python tools/dataset_converters/export_synthetic.py data/synthetic-a --domain a

Read it back with ``dict(type='Market1501', data_root='data/synthetic-a', check_counts=False)``.
"""

import argparse

from mmreid.datasets import SyntheticReID


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', help='folder to create')
    parser.add_argument('--domain', default='a', help="'a' or 'b'")
    parser.add_argument('--num-train-pids', type=int, default=100)
    parser.add_argument('--num-test-pids', type=int, default=100)
    parser.add_argument('--num-cams', type=int, default=6)
    parser.add_argument('--num-images', type=int, default=3, help='pictures of an identity in each camera')
    parser.add_argument('--num-distractors', type=int, default=100)
    parser.add_argument('--num-junk', type=int, default=20)
    parser.add_argument('--size', type=int, nargs=2, default=(128, 64), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--quality', type=int, default=95, help='JPEG quality')
    parser.add_argument('--force', action='store_true', help='replace an earlier export')
    return parser.parse_args()


def main() -> None:
    """Draw and write."""
    args = vars(parse_args())
    root = args.pop('root')
    try:
        written = SyntheticReID.export(root, **args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    for folder, number in written.items():
        print(f'{root}/{folder}: {number:,} images')


if __name__ == '__main__':
    main()
