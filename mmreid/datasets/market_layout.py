"""Write a dataset in the Market-1501 folder layout."""

import json
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .base import ReIDDataset
from .conversion import (
    PART_SUFFIX,
    encode_image,
    progress,
    refuse_mixed_people,
    refuse_own_source,
    write_file,
    write_image_once,
)
from .image_io import read_image
from .market1501 import Market1501
from .synthetic import SyntheticReID

#: File in the root that marks an export of drawn pictures; only marked folders are ever replaced.
MARKER = 'synthetic.json'
#: File in the root that marks a conversion and says of what.
CONVERSION_MARKER = 'conversion.json'
#: Which identities got another number, if any did.
IDENTITIES_FILE = 'identities.json'
#: Folder of each record split.
FOLDERS = dict(Market1501.FOLDERS, multi_query=Market1501.MULTI_QUERY_FOLDER)
_JPEG_START = b'\xff\xd8\xff'


class Written(NamedTuple):
    """Images of a folder, and how many of them were written in this run."""

    images: int
    new: int


class _Row(NamedTuple):
    dataset: ReIDDataset
    info: dict
    row: int
    path: str


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
            write_file(path, encode_image(dataset.get_image(row), '.jpg', quality))
            written[folder] += 1
    return written


def convert_to_market(datasets: Sequence[ReIDDataset], root: str, *, source: Any = None, quality: int = 95,
                      force: bool = False) -> dict[str, Written]:
    """Write any dataset in the Market-1501 layout, as ``<identity>_c<camera>s1_<row>_<number>.jpg``.

    ``row`` is the row of the image in its dataset, ``number`` counts the images of an identity in a camera. JPEG
    files are copied byte by byte; everything else is decoded and encoded with ``quality``. Junk (-1) and distractors
    (0) are kept. Identities keep their numbers with one exception: where 0 is an ordinary identity it gets the first
    free number, because in Market-1501 it means distractor; ``identities.json`` says so then.

    A conversion that was interrupted is continued: images that are there and have the right content are left alone.

    Args:
        datasets (Sequence[ReIDDataset]): Usually the train and the test split.
        root (str): Folder to create.
        source (Any): What is converted, in values that JSON can hold; only a conversion of the same source is
            continued. Defaults to None.
        quality (int): JPEG quality of what is encoded, 1 to 100. Defaults to 95.
        force (bool): Replace an earlier conversion in ``root``. Defaults to False.

    Returns:
        Dict[str, Written]: Images by folder.

    Raises:
        FileExistsError: If ``root`` holds anything else than an interrupted conversion of the same source, unless it
            is a conversion and ``force`` is set.
        ValueError: If the datasets number their people apart, images to be read lie in ``root``, a camera number is
            negative, a split is none of Market-1501's, or two images would get the
            same name.
        ImageReadError: If an image cannot be decoded.
    """
    refuse_mixed_people(datasets)
    refuse_own_source(datasets, root)
    free = 1 + max((int(dataset.get_pids().max()) for dataset in datasets), default=0)
    renumbered = {id(dataset): {0: free} if _has_person_0(dataset) else {} for dataset in datasets}
    rows = list(chain.from_iterable(_plan(dataset, root, renumbered[id(dataset)]) for dataset in datasets))
    if len({row.path for row in rows}) != len(rows):
        raise ValueError('images of two datasets would get the same name; convert them one by one, or merge them first')
    _prepare_conversion(root, dict(converted=source, quality=quality), rows, force)
    images: Counter[str] = Counter({FOLDERS[part]: 0 for part in ('train', 'query', 'gallery')})
    new: Counter[str] = Counter()
    for row in progress(rows, len(rows), osp.basename(osp.abspath(root))):
        folder = FOLDERS[row.info['split']]
        images[folder] += 1
        new[folder] += write_image_once(row.path, _jpeg(row, quality))
    changed = {f'{type(dataset).__name__} {dataset.split}': renumbered[id(dataset)] for dataset in datasets
               if renumbered[id(dataset)]}
    if changed:
        write_file(osp.join(root, IDENTITIES_FILE), json.dumps(changed, indent=2).encode())
    return {folder: Written(number, new[folder]) for folder, number in images.items()}


def _plan(dataset: ReIDDataset, root: str, renumbered: dict[int, int]) -> Iterator[_Row]:
    """Where each image goes."""
    seen: Counter[tuple] = Counter()
    for row in range(len(dataset)):
        info = dataset.get_data_info(row)
        if info['split'] not in FOLDERS:
            raise ValueError(f'"{info["img_path"]}" belongs to {info["split"]!r}; Market-1501 has {", ".join(FOLDERS)}')
        pid, camid, folder = renumbered.get(info['pid'], info['pid']), info['camid'], FOLDERS[info['split']]
        if camid < 0:
            raise ValueError(f'"{info["img_path"]}" has the camera {camid}; the names of Market-1501 hold cameras from '
                             '0 on')
        number = seen[folder, pid, camid]
        seen[folder, pid, camid] += 1
        name = f'{pid:04d}' if pid >= 0 else str(pid)
        yield _Row(dataset, info, row, osp.join(root, folder, f'{name}_c{camid}s1_{row:06d}_{number:02d}.jpg'))


def _has_person_0(dataset: ReIDDataset) -> bool:
    return 0 not in dataset.NON_IDENTITIES and 0 in dataset.get_pids()


def _jpeg(row: _Row, quality: int) -> bytes:
    """The image as a JPEG: its file if that is one and the dataset shows it as it is."""
    path = row.info['img_path']
    if not osp.isfile(path):
        return encode_image(row.dataset.load_image(row.info), '.jpg', quality)
    shown = read_image(path)  # a broken file must not be copied
    with open(path, 'rb') as file:
        data = file.read()
    copied = data.startswith(_JPEG_START)
    if type(row.dataset).load_image is not ReIDDataset.load_image:
        stored, shown = shown, row.dataset.load_image(row.info)
        copied = copied and np.array_equal(stored, shown)
    return data if copied else encode_image(shown, '.jpg', quality)


def _prepare_conversion(root: str, content: dict, rows: Sequence[_Row], force: bool) -> None:
    """Make the folders, or find those of the same conversion."""
    marker = osp.join(root, CONVERSION_MARKER)
    content = json.loads(json.dumps(content, default=str))
    if osp.isdir(root) and os.listdir(root):
        if not osp.isfile(marker):
            raise FileExistsError(f'"{root}" is not empty and holds no earlier conversion; choose another folder')
        if force:
            _empty(root)
        elif not _is_continued(root, marker, content, rows):
            raise FileExistsError(f'"{root}" holds an earlier conversion of something else; --force replaces it')
    for folder in {osp.dirname(row.path) for row in rows} | {osp.join(root, name) for name in
                                                             Market1501.FOLDERS.values()}:
        os.makedirs(folder, exist_ok=True)
    write_file(marker, json.dumps(content, indent=2).encode())


def _is_continued(root: str, marker: str, content: dict, rows: Sequence[_Row]) -> bool:
    """Whether the marker names this conversion and no image is there that it would not write."""
    try:
        with open(marker, encoding='utf-8') as file:
            if json.load(file) != content:
                return False
    except ValueError:
        return False
    planned = {row.path for row in rows}
    return all(path in planned for path in _image_paths(root))


def _image_paths(root: str, suffixes: tuple[str, ...] = ('.jpg', )) -> list[str]:
    folders = [osp.join(root, folder) for folder in FOLDERS.values() if osp.isdir(osp.join(root, folder))]
    return [osp.join(folder, name) for folder in folders for name in os.listdir(folder) if name.endswith(suffixes)]


def _empty(root: str) -> None:
    for path in _image_paths(root, ('.jpg', PART_SUFFIX)):
        os.remove(path)
    if osp.isfile(osp.join(root, IDENTITIES_FILE)):
        os.remove(osp.join(root, IDENTITIES_FILE))


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
