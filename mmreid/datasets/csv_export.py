"""Write the records of a dataset into a table."""

import csv
import io
import os.path as osp
from collections.abc import Sequence

from .base import ReIDDataset
from .conversion import progress, refuse_mixed_people, write_file

COLUMNS = ('path', 'pid', 'camid', 'split', 'domain')


def export_csv(datasets: Sequence[ReIDDataset], path: str, *, force: bool = False) -> dict[str, int]:
    """Write a CSV file with a row for each image.

    Images below the folder of the file are named relative to it, with forward slashes, so that both can be moved
    together; all others by their absolute path. The file appears when it is complete.

    Args:
        datasets (Sequence[ReIDDataset]): Usually the train and the test split.
        path (str): File to write.
        force (bool): Replace the file. Defaults to False.

    Returns:
        Dict[str, int]: Rows by split.

    Raises:
        ValueError: If the datasets number their people apart.
        FileExistsError: If the file is there and ``force`` is not set.
        FileNotFoundError: If the folder of the file is not there, or a record has no image file.
    """
    refuse_mixed_people(datasets)
    if osp.lexists(path) and not force:
        raise FileExistsError(f'"{path}" is there; --force replaces it')
    folder = osp.dirname(osp.abspath(path))
    if not osp.isdir(folder):
        raise FileNotFoundError(f'"{folder}", the folder of "{osp.basename(path)}", does not exist')
    text = io.StringIO()
    table = csv.writer(text, lineterminator='\n')
    table.writerow(COLUMNS)
    counts: dict[str, int] = {}
    for dataset in datasets:
        for row in progress(range(len(dataset)), len(dataset), dataset.split):
            info = dataset.get_data_info(row)
            counts[info['split']] = counts.get(info['split'], 0) + 1
            table.writerow([_relative(info['img_path'], folder), *(info[column] for column in COLUMNS[1:])])
    write_file(path, text.getvalue().encode())
    return counts


def _relative(path: str, folder: str) -> str:
    absolute = osp.abspath(path)
    if not osp.isfile(absolute):
        raise FileNotFoundError(f'"{path}" is no file. Pictures that a program draws have none: write them with '
                                'tools/dataset_converters/to_market.py first')
    inside = absolute.startswith(folder.rstrip(osp.sep) + osp.sep)
    return (osp.relpath(absolute, folder) if inside else absolute).replace(osp.sep, '/')
