#!/usr/bin/env python
"""Write any dataset as a table with the columns path, pid, camid, split and domain.

    python tools/dataset_converters/to_csv.py configs/ptl/densenet161_market.py OUT.csv
    python tools/dataset_converters/to_csv.py --type DukeMTMCreID --data-root data/DukeMTMC-reID OUT.csv
    python tools/dataset_converters/to_csv.py OUT.csv --type FolderReID --data-root data/mine --options labels=False

Images without labels have no test split: of these, the training split is written. Paths are relative to the folder of
the table where the images lie below it, otherwise absolute. Images stay where they are. The table appears when it is
complete.
"""

import argparse

from mmreid.datasets.chosen import add_dataset_arguments, build_datasets, chosen_settings
from mmreid.datasets.csv_export import export_csv


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_dataset_arguments(parser)
    parser.add_argument('out', help='file to write')
    parser.add_argument('--force', action='store_true', help='replace the file')
    parser.set_defaults(splits=None)
    args = parser.parse_intermixed_args()  # so that OUT may follow an option
    if args.splits is None:
        args.splits = ['train', 'test'] if args.options.get('labels', True) else ['train']
    return args


def main() -> None:
    """Write and report."""
    args = parse_args()
    try:
        counts = export_csv(build_datasets(chosen_settings(args)), args.out, force=args.force)
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    for split, number in counts.items():
        print(f'{args.out}: {number:,} images of {split}')


if __name__ == '__main__':
    main()
