"""Images of identities (rows) seen by cameras (columns) on one sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_BACKGROUND, _INK = (255, 255, 255), (0, 0, 0)
#: Colour of a slot without an image (BGR).
MISSING = (192, 192, 192)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


@dataclass(frozen=True)
class SheetLayout:
    """Where things are on a contact sheet.

    A cell is a person seen by a camera; it has ``slots`` places for images beside each other.

    Args:
        rows (int): Number of identities.
        columns (int): Number of cameras.
        slots (int): Images in a cell. Defaults to 1.
        image_size (Tuple[int, int]): Height and width of a slot. Defaults to ``(128, 64)``.
        gap (int): Pixels between slots; three times as many between cells. Defaults to 2.
        left (int): Width of the row labels. Defaults to 72.
        top (int): Height of the column labels. Defaults to 24.

    Raises:
        ValueError: If a number is not positive.
    """

    rows: int
    columns: int
    slots: int = 1
    image_size: tuple[int, int] = (128, 64)
    gap: int = 2
    left: int = 72
    top: int = 24

    def __post_init__(self) -> None:
        for name in ('rows', 'columns', 'slots'):
            if getattr(self, name) < 1:
                raise ValueError(f'SheetLayout: {name} must be at least 1, got {getattr(self, name)}')
        if min(self.image_size) < 1:
            raise ValueError(f'SheetLayout: image_size must be positive, got {self.image_size}')

    @property
    def cell_size(self) -> tuple[int, int]:
        """Height and width of a cell."""
        height, width = self.image_size
        return height, self.slots * width + (self.slots - 1) * self.gap

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the sheet."""
        height, width = self.cell_size
        return (self.top + self.rows * (height + 3 * self.gap), self.left + self.columns * (width + 3 * self.gap))

    def corner(self, row: int, column: int, slot: int = 0) -> tuple[int, int]:
        """First pixel row and column of a slot."""
        height, width = self.cell_size
        return (self.top + row * (height + 3 * self.gap),
                self.left + column * (width + 3 * self.gap) + slot * (self.image_size[1] + self.gap))


def contact_sheet(cells: Mapping[tuple[int, int], Sequence[np.ndarray]], row_labels: Sequence[str],
                  column_labels: Sequence[str], *, slots: int = 1,
                  image_size: tuple[int, int] = (128, 64)) -> np.ndarray:
    """Arrange images with their labels.

    Args:
        cells (Mapping): ``(row, column)`` -> images of that cell, BGR uint8 of any size; they are scaled into their
            slots and keep their aspect ratio. Slots without an image are grey.
        row_labels (Sequence[str]): Text left of each row.
        column_labels (Sequence[str]): Text above each column.
        slots (int): Images in a cell; more than that are an error. Defaults to 1.
        image_size (Tuple[int, int]): Height and width of a slot. Defaults to ``(128, 64)``.

    Returns:
        np.ndarray: The sheet, BGR uint8; :class:`SheetLayout` says where what is.

    Raises:
        ValueError: If a cell lies outside the sheet or has too many images.
        TypeError: If an image is not uint8 of shape ``(H, W, 3)``.
    """
    layout = SheetLayout(len(row_labels), len(column_labels), slots, image_size)
    sheet = np.full((*layout.size, 3), _BACKGROUND, dtype=np.uint8)
    for row in range(layout.rows):
        for column in range(layout.columns):
            for slot in range(slots):
                _paste(sheet, np.full((*image_size, 3), MISSING, dtype=np.uint8), layout.corner(row, column, slot))
    for (row, column), images in cells.items():
        if not (0 <= row < layout.rows and 0 <= column < layout.columns and len(images) <= slots):
            raise ValueError(f'cell {row, column} with {len(images)} image(s) does not fit a sheet of {layout.rows} x '
                             f'{layout.columns} cells with {slots} slot(s)')
        for slot, image in enumerate(images):
            _paste(sheet, fit_image(image, image_size), layout.corner(row, column, slot))
    for row, text in enumerate(row_labels):
        _write(sheet, text, 2, layout.corner(row, 0)[0] + image_size[0] // 2, layout.left - 6)
    for column, text in enumerate(column_labels):
        _write(sheet, text, layout.corner(0, column)[1], layout.top - 8, layout.cell_size[1])
    return sheet


def fit_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale an image into a frame without changing its aspect ratio; what remains of the frame is white."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise TypeError(f'an image must be uint8 of shape (H, W, 3), got {image.dtype} {tuple(image.shape)}')
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, min(limit, round(side * scale))) for side, limit in zip(image.shape[:2], size))
    frame = np.full((*size, 3), _BACKGROUND, dtype=np.uint8)
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    _paste(frame, scaled, ((size[0] - height) // 2, (size[1] - width) // 2))
    return frame


def _paste(sheet: np.ndarray, image: np.ndarray, corner: tuple[int, int]) -> None:
    sheet[corner[0]:corner[0] + image.shape[0], corner[1]:corner[1] + image.shape[1]] = image


def _write(sheet: np.ndarray, text: str, left: int, base: int, width: int) -> None:
    """Text that starts at ``left`` on the line ``base`` and is made smaller where it would be wider than ``width``."""
    needed = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
    cv2.putText(sheet, text, (left, base), _FONT, _FONT_SCALE * min(1, width / max(needed, 1)), _INK, 1, cv2.LINE_AA)
