"""Take the images and test sets out of ``cuhk-03.mat``."""

import json
import os
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .conversion import encode_image, progress, write_file, write_image_once

#: Names of the two sets of boxes: drawn by hand, and found by a detector.
BOXES = ('labeled', 'detected')
NUM_PAIRS = 5
#: Columns of a cell array: images 1 to 5 come from the first camera of the pair, 6 to 10 from the second.
IMAGES_PER_VIEW = 5
#: Images in the published file.
PUBLISHED_IMAGES = dict(labeled=14096, detected=14097)
#: What the test sets are written to.
SPLITS_FILE = 'splits_classic.json'


class MatFileError(ValueError):
    """A file is not the published ``cuhk-03.mat``, or only a part of it."""


class Written(NamedTuple):
    """Images of a folder, and how many of them were written in this run."""

    images: int
    new: int


def image_name(pair: int, person: int, number: int) -> str:
    """Name of an image, as other toolboxes and the split files of the 767/700 protocol have it.

    Args:
        pair (int): Pair of cameras, from 1.
        person (int): Row of the person in that pair, from 1.
        number (int): Column of the image, from 1.

    Returns:
        str: For example ``'1_001_2_06.png'``; the third number is the view, 1 or 2.
    """
    return f'{pair:01d}_{person:03d}_{1 if number <= IMAGES_PER_VIEW else 2:01d}_{number:02d}.png'


class CUHK03Mat:
    """``cuhk-03.mat``, a MATLAB 7.3 (HDF5) file, read image by image.

    MATLAB stores arrays column by column, so every array is transposed in the file: a cell array of *persons* x 10 has
    the shape 10 x *persons*, an image (channels, width, height).

    Args:
        path (str): The file. Use the object in a ``with`` statement.

    Raises:
        ImportError: If h5py is not installed.
        FileNotFoundError: If there is no such file.
        MatFileError: If the file is truncated or something else.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if not osp.isfile(path):
            raise FileNotFoundError(f'"{path}" is not there; it should be the cuhk-03.mat of the CUHK03 release')
        try:
            import h5py
        except ImportError:
            raise ImportError(f'reading "{path}" needs h5py: pip install h5py') from None
        with self._reading('HDF5'):
            self._file = h5py.File(path, 'r')
        self._is_reference = lambda data: h5py.check_ref_dtype(data.dtype) is h5py.Reference

    def __enter__(self) -> 'CUHK03Mat':
        return self

    def __exit__(self, *exception: Any) -> None:
        self._file.close()

    def num_persons(self, box: str) -> list[int]:
        """Persons seen by each pair of cameras."""
        return [references.shape[1] for references in self._pairs(box)]

    def images(self, box: str) -> Iterator[tuple[str, np.ndarray | None]]:
        """Names and RGB pixels ``(H, W, 3)`` of all cells; ``None`` for an empty cell."""
        for pair, references in enumerate(self._pairs(box), 1):
            for person in range(1, references.shape[1] + 1):
                for number in range(1, references.shape[0] + 1):
                    name = image_name(pair, person, number)
                    yield name, self._image(references[number - 1, person - 1], f'{box}, {name}')

    def testsets(self) -> list[list[list[int]]]:
        """For each of the published splits the (pair, person) of the test identities."""
        sets = []
        for number, reference in enumerate(self._references('testsets').ravel(), 1):
            with self._reading(f'testsets, {number}'):
                table = np.asarray(self._file[reference][()]).T
            if table.ndim != 2 or table.shape[1] != 2:
                raise MatFileError(f'"{self.path}": testset {number} has the shape {table.shape}, expected '
                                   '(persons, 2)')
            sets.append(table.astype(np.int64).tolist())
        return sets

    def _pairs(self, box: str) -> list[np.ndarray]:
        """Cell array of each pair of cameras, images x persons."""
        pairs = [self._references(reference) for reference in self._references(box).ravel()]
        shapes = [references.shape for references in pairs]
        if len(pairs) != NUM_PAIRS or any(len(shape) != 2 or shape[0] != 2 * IMAGES_PER_VIEW for shape in shapes):
            raise MatFileError(f'"{self.path}": {box} has the cell arrays {shapes}, expected {NUM_PAIRS} of '
                               f'({2 * IMAGES_PER_VIEW}, persons); is this the published cuhk-03.mat?')
        return pairs

    def _references(self, key: Any) -> np.ndarray:
        with self._reading(key if isinstance(key, str) else 'cell array'):
            data = self._file[key]
            if self._is_reference(data):
                return np.atleast_1d(data[()])
        raise MatFileError(f'"{self.path}": {data.name} is no cell array; is this the published cuhk-03.mat?')

    def _image(self, reference: Any, where: str) -> np.ndarray | None:
        with self._reading(where):
            data = self._file[reference][()]
        if data.ndim < 3 or data.size == 0:  # MATLAB stores an empty cell as a vector with its size
            return None
        if data.ndim != 3 or data.shape[0] != 3 or data.dtype != np.uint8:
            raise MatFileError(f'"{self.path}": {where} is {data.dtype} of shape {data.shape}, expected uint8 of shape '
                               '(3, width, height)')
        return data.transpose(2, 1, 0)

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except MatFileError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            reason = ' '.join(str(error).split())
            raise MatFileError(f'"{self.path}" ({osp.getsize(self.path):,} bytes) cannot be read ({what}: {reason}); '
                               'it is truncated or not the published cuhk-03.mat') from None


def convert_cuhk03(mat_path: str, root: str, *, force: bool = False) -> dict[str, Written]:
    """Write ``images_labeled``, ``images_detected`` (PNG) and ``splits_classic.json``.

    A conversion that was interrupted is continued: images that are there and show what the ``.mat`` holds are left
    alone. ``splits_classic.json`` comes last and records how many images there must be.

    Args:
        mat_path (str): ``cuhk-03.mat``.
        root (str): Folder to write to; it may be that of the ``.mat``.
        force (bool): Replace files that hold something else. Defaults to False.

    Returns:
        Dict[str, Written]: Images by folder.

    Raises:
        FileExistsError: If a file is there that holds something else and ``force`` is not set.
        MatFileError: If the ``.mat`` is truncated or another file.
    """
    with CUHK03Mat(mat_path) as mat:
        testsets = mat.testsets()  # a wrong file is found before anything is written
        persons = {box: mat.num_persons(box) for box in BOXES}
        if persons['labeled'] != persons['detected']:
            raise MatFileError(f'"{mat_path}": the boxes have different numbers of persons by pair: {persons}')
        written = {f'images_{box}': _write_images(mat, box, root, sum(persons[box]), force) for box in BOXES}
    content = dict(identities=persons['labeled'], images={box: written[f'images_{box}'].images for box in BOXES},
                   testsets=testsets)
    _write_splits(osp.join(root, SPLITS_FILE), content, force)
    return written


def _write_images(mat: CUHK03Mat, box: str, root: str, num_persons: int, force: bool) -> Written:
    folder = osp.join(root, f'images_{box}')
    os.makedirs(folder, exist_ok=True)
    images = new = 0
    for name, image in progress(mat.images(box), num_persons * 2 * IMAGES_PER_VIEW, f'images_{box}'):
        if image is not None:
            images += 1
            data = encode_image(image[:, :, ::-1], '.png')
            new += write_image_once(osp.join(folder, name), data, force=force)
    return Written(images, new)


def _write_splits(path: str, content: dict, force: bool) -> None:
    data = json.dumps(content).encode()
    if osp.lexists(path) and not force:
        with open(path, 'rb') as file:
            if file.read() == data:
                return
        raise FileExistsError(f'"{path}" is there and holds something else; choose another folder, or replace it with '
                              '--force')
    write_file(path, data)
