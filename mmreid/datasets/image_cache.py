"""Decoded images in memory, in one buffer that data loader workers share."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .image_io import ImageReadError

_WINDOW = 256  # images decoded ahead of the copy into the buffer


class ImageCache:
    """Decoded images of a dataset in one uint8 buffer.

    The buffer is filled in the main process and holds no Python objects, so workers that are forked share it and their
    reference counting does not copy it. (Workers that are spawned, and every process of a distributed run, hold their
    own.) Build it with :meth:`build`.

    Args:
        buffer (np.ndarray): All pixels one after another, uint8.
        offsets (np.ndarray): Start of each image in ``buffer`` and the end of the last, shape ``(N + 1,)``.
        shapes (np.ndarray): ``(H, W, C)`` of each image, shape ``(N, 3)``.
    """

    def __init__(self, buffer: np.ndarray, offsets: np.ndarray, shapes: np.ndarray) -> None:
        self._buffer = buffer
        self._offsets = offsets
        self._shapes = shapes

    @classmethod
    def build(cls, load: Callable[[int], np.ndarray], num_images: int, limit: int,
              num_threads: int = 2) -> 'ImageCache':
        """Decode images until all are in memory or the next one would exceed the limit.

        Args:
            load (Callable): Row number -> decoded image.
            num_images (int): Number of rows.
            limit (int): Largest size of the buffer in bytes. Rows beyond it are not cached: :meth:`get` answers
                ``None`` for them.
            num_threads (int): Threads that decode. Defaults to 2.

        Raises:
            ImageReadError: If images cannot be read; the message names up to ten of them.
        """
        writer, broken = _BufferWriter(num_images, limit), []
        with ThreadPoolExecutor(num_threads) as pool:
            for start in range(0, num_images, _WINDOW):
                window = range(start, min(start + _WINDOW, num_images))
                images = list(pool.map(_Guarded(load), window))
                broken += [image for image in images if isinstance(image, ImageReadError)]
                if not broken and not all(writer.append(image) for image in images):
                    break
        if broken:
            raise ImageReadError(_describe_broken(broken))
        return cls(*writer.finish())

    def __len__(self) -> int:
        return len(self._shapes)

    def __deepcopy__(self, memo: Any) -> 'ImageCache':
        return self  # the images never change, so copies of a dataset share them

    @property
    def nbytes(self) -> int:
        """Size of the decoded images in bytes."""
        return int(self._offsets[-1])

    def get(self, row: int) -> np.ndarray | None:
        """Copy of the image of a row (transforms may write into it), or ``None`` if the row is not cached."""
        if row >= len(self):
            return None
        pixels = self._buffer[self._offsets[row]:self._offsets[row + 1]]
        return pixels.reshape(self._shapes[row]).copy()


class _Guarded:
    """Turn the error of an unreadable image into a value, so that one pass finds all of them."""

    def __init__(self, load: Callable[[int], np.ndarray]) -> None:
        self._load = load

    def __call__(self, row: int) -> np.ndarray | ImageReadError:
        try:
            return self._load(row)
        except ImageReadError as error:
            return error


class _BufferWriter:
    """Append images to a growing buffer. Growing reallocates in place, so the peak is not twice the size."""

    def __init__(self, num_images: int, limit: int) -> None:
        self._num_images, self._limit = num_images, limit
        self._buffer = np.empty(0, dtype=np.uint8)
        self._ends: list[int] = [0]
        self._shapes: list[tuple[int, ...]] = []

    def append(self, image: np.ndarray) -> bool:
        start = self._ends[-1]
        end = start + image.size
        if end > self._limit:
            return False
        if end > self._buffer.size:
            guess = max(end * 5 // 4, image.size * self._num_images) if start == 0 else end * 5 // 4
            self._buffer.resize(min(guess, self._limit), refcheck=False)
        self._buffer[start:end] = image.reshape(-1)
        self._ends.append(end)
        self._shapes.append(image.shape)
        return True

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._buffer.resize(self._ends[-1], refcheck=False)
        self._buffer.flags.writeable = False
        shapes = np.asarray(self._shapes, dtype=np.int64).reshape(-1, 3)
        return self._buffer, np.asarray(self._ends, dtype=np.int64), shapes


def _describe_broken(broken: list[ImageReadError]) -> str:
    lines = [f'{len(broken):,} image(s) cannot be read:', *(f'  {error}' for error in broken[:10])]
    if len(broken) > 10:
        lines.append(f'  ... and {len(broken) - 10:,} more; tools/misc/check_dataset.py lists them all')
    return '\n'.join(lines)
