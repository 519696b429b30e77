"""Write a dataset in the Market-1501 folder layout."""

import json
import os
import os.path as osp
from collections.abc import Sequence

import cv2

from .market1501 import Market1501
from .synthetic import SyntheticReID

#: File in the root that marks an export; only marked folders are ever replaced.
MARKER = 'synthetic.json'


def export_market_layout(datasets: Sequence[SyntheticReID], root: str, *, quality: int = 95,
                         force: bool = False) -> dict[str, int]:
    """Write drawn pictures as JPEG files named the Market-1501 way, such as ``0002_c1s1_000026_01.jpg``.

    Args:
        datasets (Sequence[SyntheticReID]): Usually the train and the test split.
        root (str): Folder to create.
        quality (int): JPEG quality, 1 to 100. Defaults to 95.
        force (bool): Replace an earlier export in ``root``. Defaults to False.

    Returns:
        Dict[str, int]: Images written by folder.

    Raises:
        FileExistsError: If ``root`` is not empty, unless it holds an earlier export and ``force`` is set.
    """
    _prepare(root, force)
    written = {folder: 0 for folder in Market1501.FOLDERS.values()}
    for dataset in datasets:
        for row in range(len(dataset)):
            info = dataset.get_data_info(row)
            folder = Market1501.FOLDERS[info['split']]
            path = osp.join(root, folder, osp.basename(info['img_path']) + '.jpg')
            _write_jpeg(path, dataset.get_image(row), quality)
            written[folder] += 1
    return written


def _prepare(root: str, force: bool) -> None:
    folders = [osp.join(root, folder) for folder in Market1501.FOLDERS.values()]
    marker = osp.join(root, MARKER)
    if osp.isdir(root) and os.listdir(root):
        if not osp.isfile(marker):
            raise FileExistsError(f'"{root}" is not empty and holds no earlier export; choose another folder')
        if not force:
            raise FileExistsError(f'"{root}" holds an earlier export; force (--force) replaces it')
        for folder in folders:
            for name in os.listdir(folder) if osp.isdir(folder) else ():
                os.remove(osp.join(folder, name))
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    with open(marker, 'w', encoding='utf-8') as file:
        json.dump(dict(content='pictures drawn by mmreid.datasets.SyntheticReID'), file)


def _write_jpeg(path: str, image, quality: int) -> None:
    encoded, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise OSError(f'cannot encode "{path}"')
    with open(path, 'wb') as file:
        file.write(data.tobytes())
