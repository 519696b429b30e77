"""Images from anywhere, under the transforms of a config."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

import cv2
import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch.utils.data import Dataset

from mmreid.datasets import reid_collate
from mmreid.datasets.folder_scan import images_below
from mmreid.datasets.image_io import IMAGE_SUFFIXES, ImageReadError

#: An image: a file, a folder of them, or pixels ``(H, W, 3)`` uint8 in BGR order.
Image = Union[str, os.PathLike, np.ndarray]
#: Images: one of these, several, or pixels ``(N, H, W, 3)``.
Images = Union[Image, Iterable[Image]]


class Unreadable(NamedTuple):
    """A file that could not be read, and why."""

    path: str
    reason: str


def list_images(images: Images) -> list[Union[str, np.ndarray]]:
    """Files and pixels, one an image.

    Folders are searched at any depth for files with the suffixes of :data:`IMAGE_SUFFIXES`, in the order of their
    sorted names; names that start with a dot are ignored, images of other formats are named in the log. Files are taken
    as they are named.

    Args:
        images (str | PathLike | np.ndarray | Iterable): A folder, a file, pixels, or any mix of these.

    Raises:
        FileNotFoundError: If a single path leads nowhere, or a folder holds no image.
        TypeError: If something is neither a path nor pixels.
        ValueError: If there is nothing.
    """
    if isinstance(images, (str, os.PathLike)) and not os.path.exists(images):
        raise FileNotFoundError(f'there is no image and no folder "{os.fspath(images)}" (looked for '
                                f'"{os.path.abspath(images)}")')
    one = isinstance(images, (str, os.PathLike)) or isinstance(images, np.ndarray) and images.ndim != 4
    found: list[Union[str, np.ndarray]] = []
    for item in [images] if one else images:
        if isinstance(item, np.ndarray):
            found.append(_checked(item))
        elif not isinstance(item, (str, os.PathLike)):
            raise TypeError('images must be folders, files or arrays (H, W, 3) of uint8 in BGR order, got '
                            f'{type(item).__name__}')
        else:
            found += _below(os.fspath(item)) if os.path.isdir(item) else [os.fspath(item)]
    if not found:
        raise ValueError('there are no images: the list is empty')
    return found


def _below(folder: str) -> list[str]:
    others: list[str] = []
    found = [os.path.join(folder, path) for path in images_below(folder, others)]
    left_out = f'{len(others):,} images of other formats, such as "{others[0]}"' if others else ''
    if not found:
        raise FileNotFoundError(f'there is no image below the folder "{os.path.abspath(folder)}"; looked for '
                                f'{", ".join(IMAGE_SUFFIXES)} at any depth' + (left_out and f', found {left_out}'))
    if others:
        print_log(f'"{folder}": {left_out}, are left out', logger='current', level=logging.WARNING)
    return found


def _checked(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise TypeError('pixels of an image must be uint8 of shape (H, W, 3) in BGR order, got '
                        f'{pixels.dtype} {pixels.shape}')
    return pixels


class ImageList(Dataset):
    """Images under transforms; a file that cannot be read gives :class:`Unreadable` instead of stopping the others.

    Args:
        images (Sequence[str | np.ndarray]): What :func:`list_images` gives.
        pipeline (Sequence): Transforms for testing.

    Attributes:
        paths: A name for each image: its file, or ``array:N`` for pixels in row N.
    """

    def __init__(self, images: Sequence[Union[str, np.ndarray]], pipeline: Sequence[Union[dict, Callable]]) -> None:
        self.images = list(images)
        self.paths = [f'array:{row}' if isinstance(image, np.ndarray) else image
                      for row, image in enumerate(self.images)]
        scope = 'mmreid' if DefaultScope.get_current_instance() is None else None
        with DefaultScope.overwrite_default_scope(scope):  # so that it is built without a runner, too
            self.pipeline = Compose(list(pipeline))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Any:
        """``(row, sample after the transforms)``, or ``(row, Unreadable)``."""
        image, record = self.images[row], dict(img_path=self.paths[row], sample_idx=row)
        if isinstance(image, np.ndarray):
            record['img'] = image.copy()  # transforms may write into what they get
        try:
            return row, self.pipeline(record)
        except ImageReadError as error:
            return row, Unreadable(self.paths[row], str(error))


def collate_readable(items: Sequence[tuple[int, Any]]) -> dict[str, Any]:
    """A batch of what could be read.

    Returns:
        dict: ``rows`` of the images in the batch, ``batch`` (None if there is none) and ``unreadable``.
    """
    good = [(row, sample) for row, sample in items if not isinstance(sample, Unreadable)]
    return dict(rows=[row for row, _ in good], batch=reid_collate([sample for _, sample in good]) if good else None,
                unreadable=[sample for _, sample in items if isinstance(sample, Unreadable)])


def single_threaded(_: int) -> None:
    """Start of a loading process: several of them share the cores already."""
    cv2.setNumThreads(0)


def image_name(path: str) -> str:
    """Name of an image without folder and suffix, fit for a file of its own."""
    return ''.join(letter if letter.isalnum() or letter in '._-' else '_' for letter in Path(path).stem)
