#!/usr/bin/env python
"""Write any dataset in the layout of Market-1501, which nearly every re-identification toolbox reads.

    python tools/dataset_converters/to_market.py configs/ptl/densenet161_market.py OUT
    python tools/dataset_converters/to_market.py --type CUHK03 OUT --options box=labeled

JPEG files are copied byte by byte, others are encoded; junk (-1) and distractors (0) are kept. An interrupted
conversion is continued by the same command.
"""

import argparse

from mmreid.datasets.chosen import add_dataset_arguments, build_datasets, chosen_settings
from mmreid.datasets.market_layout import convert_to_market


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_dataset_arguments(parser)
    parser.add_argument('out', help='folder to create')
    parser.add_argument('--quality', type=int, default=95, help='JPEG quality of what is not copied')
    parser.add_argument('--force', action='store_true', help='replace an earlier conversion')
    return parser.parse_intermixed_args()  # so that OUT may follow an option


def main() -> None:
    """Convert and report."""
    args = parse_args()
    try:
        settings = chosen_settings(args)
        written = convert_to_market(build_datasets(settings), args.out, source=settings, quality=args.quality,
                                    force=args.force)
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit('interrupted; the same command continues') from None
    for folder, number in written.items():
        print(f'{args.out}/{folder}: {number.images:,} images, {number.new:,} of them written now')


if __name__ == '__main__':
    main()
