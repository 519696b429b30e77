"""Write converted files so that an interrupted conversion can be started again, and nothing is lost."""

import os
import os.path as osp
from collections.abc import Iterable, Sequence
from contextlib import suppress

import cv2
import numpy as np
from tqdm import tqdm

from .base import ReIDDataset
from .image_io import ImageReadError, read_image

#: Ending of a file that is being written. No reader takes such a file for an image.
PART_SUFFIX = '.part'


def write_file(path: str, data: bytes) -> None:
    """Write a file that is either there as a whole or not at all.

    Args:
        path (str): File to write; one that is there is replaced in one step.
        data (bytes): Its content.

    Raises:
        OSError: If it cannot be written. What was there before is untouched.
    """
    part = path + PART_SUFFIX
    try:
        with open(part, 'wb') as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.remove(part)
        raise


def write_image_once(path: str, data: bytes, *, force: bool = False) -> bool:
    """Write an encoded image, unless an earlier run has done it.

    A file that no reader can decode holds nothing that could be lost: it is written again.

    Args:
        path (str): File to write.
        data (bytes): Encoded image.
        force (bool): Replace a file that holds another image. Defaults to False.

    Returns:
        bool: Whether the file was written now.

    Raises:
        FileExistsError: If the file holds another image and ``force`` is not set.
    """
    if osp.lexists(path) and not force and _holds(path, data):
        return False
    write_file(path, data)
    return True


def encode_image(image: np.ndarray, suffix: str, quality: int = 95) -> bytes:
    """Encode BGR pixels.

    Args:
        image (np.ndarray): Pixels of shape ``(H, W, 3)``, uint8.
        suffix (str): ``'.jpg'`` or ``'.png'``.
        quality (int): Quality of a JPEG, 1 to 100. Defaults to 95.

    Returns:
        bytes: Content of the file.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == '.jpg' else []
    encoded, data = cv2.imencode(suffix, image, options)
    if not encoded:
        raise OSError(f'an image of shape {image.shape} cannot be encoded as {suffix}')
    return data.tobytes()


def progress(items: Iterable, total: int, what: str) -> Iterable:
    """Show a bar on a terminal while the items pass, and nothing elsewhere."""
    return tqdm(items, total=total, desc=what, unit='img', disable=None, leave=False)


def _holds(path: str, data: bytes) -> bool:
    """Whether a file shows the image that is to be written; an error if it shows another one."""
    try:
        found = read_image(path)
    except ImageReadError:
        return False
    with open(path, 'rb') as file:
        if file.read() == data:
            return True
    wanted = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if np.array_equal(found, wanted):  # written by another version of the encoder
        return True
    raise FileExistsError(f'"{path}" is there and holds another image; choose another folder, or replace it with '
                          '--force')


def refuse_mixed_people(datasets: Sequence[ReIDDataset]) -> None:
    """Make sure that equal identity numbers mean the same person in all datasets that are written together.

    Raises:
        ValueError: If they do not: the copy would make one person of two.
    """
    spaces = {f'{dataset.identity_space()} {dataset.split if dataset.NUMBERED_PER_SPLIT else ""}'.strip()
              for dataset in datasets}
    if len(spaces) > 1:
        raise ValueError(f'the datasets number their people apart ({"; ".join(sorted(spaces))}), so equal numbers are '
                         'different people; convert one at a time into outputs of their own (--splits train)')


def refuse_own_source(datasets: Sequence[ReIDDataset], root: str) -> None:
    """Make sure that no image that is read lies in the folder that is written.

    Raises:
        ValueError: If one does.
    """
    target = osp.join(osp.realpath(root), '')
    folders = {osp.dirname(dataset.get_data_info(row)['img_path']) for dataset in datasets
               for row in range(len(dataset))}
    for folder in sorted(folders):
        if folder and osp.join(osp.realpath(folder), '').startswith(target):
            raise ValueError(f'"{folder}" holds images to be converted and lies in "{root}", which would be replaced; '
                             'choose another folder for the result')
