"""Decode image files, and refuse the broken ones by name."""

import os

import cv2
import numpy as np

#: Suffixes that count as images, in lower case.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
#: Suffixes of images that are not read: named where they are left out, so that nobody misses them silently.
OTHER_IMAGE_SUFFIXES = ('.tif', '.tiff', '.webp', '.heic', '.heif', '.avif', '.gif', '.jfif', '.jp2', '.jxl', '.pgm',
                        '.ppm', '.dng')

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG', b'IEND'


class ImageReadError(OSError):
    """An image file is missing, empty, truncated or not an image; the message holds its path."""


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Decode an image file.

    Whatever the file holds, three channels of 8 bits come out: grey values three times, CMYK as colours, palettes
    looked up, of 16 bits the upper 8, transparency left out (the colour that is stored there shows). An orientation
    that a camera has noted (EXIF) is applied; colour profiles are not. The content decides, not the suffix.

    Args:
        path (str or PathLike): File to read.

    Returns:
        np.ndarray: Pixels of shape ``(H, W, 3)``, uint8, channels in BGR order.

    Raises:
        ImageReadError: If the file cannot be opened or decoded completely. A JPEG without an end marker after its last
            scan and a PNG without its end chunk count as truncated, although OpenCV would fill the rest with grey.
    """
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        raise ImageReadError(f'cannot open image "{path}": {error.strerror or error}') from None
    if not data:
        raise ImageReadError(f'image "{path}" is empty (0 bytes)')
    if _is_truncated(data):
        raise ImageReadError(f'image "{path}" is truncated: {len(data):,} bytes and no end marker')
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageReadError(f'image "{path}" cannot be decoded: {error.err}') from None
    if image is None:
        raise ImageReadError(f'image "{path}" cannot be decoded: {len(data):,} bytes that are not a complete image')
    return image


def _is_truncated(data: bytes) -> bool:
    # Compressed JPEG data never contains a scan marker, so an end marker must follow the last one. Searching for the
    # end marker alone would be content with that of an embedded thumbnail.
    if data.startswith(_JPEG_START):
        return data.rfind(_JPEG_END) <= data.rfind(_JPEG_SCAN)
    if data.startswith(_PNG_START):
        return data.rfind(_PNG_END) < 0
    return False
