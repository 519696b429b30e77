"""A query and the gallery images that are nearest to it, on one sheet."""

from collections.abc import Sequence
from typing import Optional

import numpy as np

from .contact_sheet import _BACKGROUND, _paste, _write, fit_image

#: Colours of frames (BGR): the query, a match, another person, and where it is not known.
QUERY, MATCH, OTHER, UNKNOWN = (0, 0, 0), (0, 160, 0), (0, 0, 220), (192, 192, 192)
#: Pixels of the frame of an image, between two cells, and of a line of text.
_FRAME, _GAP, _LINE = 3, 6, 18


def ranked_list_sheet(query: np.ndarray, gallery: Sequence[np.ndarray], distances: Sequence[float], *,
                      matches: Optional[Sequence[Optional[bool]]] = None, title: str = 'query',
                      image_size: tuple[int, int] = (128, 64)) -> np.ndarray:
    """Draw a ranked list: the query at the left, then the gallery images with rank above and distance below.

    Args:
        query (np.ndarray): The query, BGR uint8 of any size; it is scaled into its cell as all images are.
        gallery (Sequence[np.ndarray]): K images likewise, the nearest first.
        distances (Sequence[float]): Distance of each.
        matches (Sequence[bool | None], optional): Whether each shows the person of the query: a green frame, or a red
            one; None: a grey one. Defaults to None for all.
        title (str): Text below the query, made smaller where it is long. Defaults to ``'query'``.
        image_size (Tuple[int, int]): Height and width of an image. Defaults to ``(128, 64)``.

    Returns:
        np.ndarray: BGR uint8; :func:`sheet_corner` says where which image is.

    Raises:
        ValueError: If distances or matches do not belong to the images, or a size is not positive.
        TypeError: If an image is not uint8 of shape ``(H, W, 3)``.
    """
    matches = [None] * len(gallery) if matches is None else list(matches)
    if not len(gallery) == len(distances) == len(matches):
        raise ValueError(f'{len(gallery)} images need as many distances and matches, got {len(distances)} and '
                         f'{len(matches)}')
    if min(image_size) < 1:
        raise ValueError(f'image_size must be positive, got {image_size}')
    top, left = sheet_corner(len(gallery) + 1, image_size)
    sheet = np.full((top + image_size[0] + _FRAME + _LINE + _GAP, left - _FRAME, 3), _BACKGROUND, dtype=np.uint8)
    colours = {None: UNKNOWN, True: MATCH, False: OTHER}
    _cell(sheet, query, 0, image_size, QUERY, '', title)
    for rank, (image, distance, match) in enumerate(zip(gallery, distances, matches), 1):
        _cell(sheet, image, rank, image_size, colours[match if match is None else bool(match)], str(rank),
              f'{distance:.4f}')
    return sheet


def sheet_corner(place: int, image_size: tuple[int, int] = (128, 64)) -> tuple[int, int]:
    """First pixel row and column of an image on the sheet; place 0 is the query, place K the image of rank K."""
    apart = 2 * _GAP if place else 0  # the query stands by itself
    return _LINE + _GAP + _FRAME, _GAP + apart + _FRAME + place * (image_size[1] + 2 * _FRAME + _GAP)


def _cell(sheet: np.ndarray, image: np.ndarray, place: int, size: tuple[int, int], colour: tuple[int, int, int],
          above: str, below: str) -> None:
    top, left = sheet_corner(place, size)
    frame = np.full((size[0] + 2 * _FRAME, size[1] + 2 * _FRAME, 3), colour, dtype=np.uint8)
    _paste(frame, fit_image(image, size), (_FRAME, _FRAME))
    _paste(sheet, frame, (top - _FRAME, left - _FRAME))
    _write(sheet, above, left, top - _FRAME - 5, size[1])
    _write(sheet, below, left, top + size[0] + _FRAME + _LINE - 5, size[1])
