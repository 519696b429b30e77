"""Read every image once: is it whole, and what identifies its content."""

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ..base import ReIDDataset
from ..image_io import ImageReadError

_WINDOW = 512  # images between two looks at what the decoders complained about
#: What libpng says about colour profiles and texts: the pixels are whole.
_HARMLESS = re.compile(r'libpng warning: (iCCP|sRGB|gAMA|cHRM|bKGD|tRNS|pHYs|sBIT|[zti]TXt|eXIf|tIME)\b.*')


class FileFacts(NamedTuple):
    """What reading one image has shown."""

    #: Hash of the bytes of the file; None if there is no readable file.
    content: bytes | None = None
    #: Hash of the decoded pixels; None if they were not or could not be decoded.
    pixels: bytes | None = None
    #: Height and width; None if unknown.
    size: tuple[int, int] | None = None
    #: Largest value of a pixel, 0 to 255; None if unknown.
    brightest: int | None = None
    #: Kind of the problem: ``'unreadable'``, ``'empty'``, ``'truncated'`` or ``'damaged'``; ``''``: none.
    problem: str = ''
    #: The problem in words.
    message: str = ''


class DecoderComplaints:
    """What image decoders write to the error output (file descriptor 2) while the block runs.

    libjpeg fills damaged parts of an image and says so there and nowhere else.
    """

    def __enter__(self) -> 'DecoderComplaints':
        sys.stderr.flush()
        self._file, self._saved = tempfile.TemporaryFile(), os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *exception) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._file.close()

    def text(self) -> str:
        """What was written so far, without what does not concern the pixels; on one line."""
        data = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0)
        return ' '.join(_HARMLESS.sub('', data.decode(errors='replace')).split())


def read_facts(images: Sequence[tuple[ReIDDataset, int]], *, decode: bool = True, num_threads: int = 2,
               advance: Callable[[int], object] = lambda number: None) -> list[FileFacts]:
    """Read images in parallel; reading, hashing and decoding leave Python's lock free.

    Args:
        images (Sequence[Tuple[ReIDDataset, int]]): Dataset and row of each image.
        decode (bool): Decode the images, too. Without it, only missing and empty files are found, and copies by the
            bytes of the files. Defaults to True.
        num_threads (int): Threads that read. Defaults to 2.
        advance (Callable): Called with the number of images done since the last call. Defaults to nothing.

    Returns:
        List[FileFacts]: In the order of ``images``.
    """
    facts: list[FileFacts] = []
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(images), _WINDOW):
            window = images[start:start + _WINDOW]
            with DecoderComplaints() as complaints:
                found = list(pool.map(lambda image: _read(*image, decode), window))
                complained = complaints.text()
            # Threads share the error output. Which image was meant shows when they are decoded one at a time.
            facts += [_read_alone(*image) for image in window] if complained and decode else found
            advance(len(window))
    return facts


def _read(dataset: ReIDDataset, row: int, decode: bool) -> FileFacts:
    info = dataset.get_data_info(row)
    content, size = None, None
    if os.path.isfile(info['img_path']) or not decode and '://' not in info['img_path']:
        try:
            with open(info['img_path'], 'rb') as file:
                data = file.read()
        except OSError as error:
            return FileFacts(problem='unreadable', message=f'cannot be opened: {error.strerror or error}')
        if not data:
            return FileFacts(problem='empty', message='is empty (0 bytes)')
        content = _digest(data)
    if not decode:
        return FileFacts(content)
    try:
        image = dataset.load_image(info)
    except ImageReadError as error:
        return FileFacts(content, problem=_kind(str(error)), message=_without_path(str(error), info['img_path']))
    size = image.shape[:2]
    return FileFacts(content, _digest(np.ascontiguousarray(image), repr(image.shape).encode()), size, int(image.max()))


def _read_alone(dataset: ReIDDataset, row: int) -> FileFacts:
    with DecoderComplaints() as complaints:
        facts = _read(dataset, row, True)
        complaint = complaints.text()
    if facts.problem or not complaint:
        return facts
    return facts._replace(problem='damaged', message=f'is damaged: {complaint}')


def _digest(*parts: Iterable) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _kind(message: str) -> str:
    return next((kind for kind in ('empty', 'truncated') if f'is {kind}' in message), 'unreadable')


def _without_path(message: str, path: str) -> str:
    return message.replace(f'image "{path}" ', '').replace(f' image "{path}"', '')
