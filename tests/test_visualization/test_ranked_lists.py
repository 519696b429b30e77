"""Ranked lists on a sheet."""

import numpy as np
import pytest

from mmreid.visualization import ranked_list_sheet
from mmreid.visualization.ranked_lists import MATCH, OTHER, QUERY, UNKNOWN, sheet_corner


def plain(value, size=(20, 10)):
    return np.full((*size, 3), value, dtype=np.uint8)


def test_everything_is_at_its_place():
    sheet = ranked_list_sheet(plain(10), [plain(20), plain(30), plain(40)], [.1, .25, 1.5],
                              matches=[True, False, None], image_size=(20, 10))
    for place, (value, frame) in enumerate(zip((10, 20, 30, 40), (QUERY, MATCH, OTHER, UNKNOWN))):
        top, left = sheet_corner(place, (20, 10))
        assert (sheet[top:top + 20, left:left + 10] == value).all()
        for row, column in ((top - 1, left), (top + 20, left + 9), (top, left - 1), (top + 19, left + 10)):
            assert tuple(sheet[row, column]) == frame
    # Ranks above, distances below, and nothing outside.
    top, left = sheet_corner(1, (20, 10))
    assert (sheet[:top - 3, left:left + 10] < 128).any() and (sheet[top + 23:, left:left + 10] < 128).any()
    assert (sheet[:, -3:] == 255).all() and (sheet[-3:] == 255).all()
    assert sheet.dtype == np.uint8 and sheet.shape[1] == sheet_corner(4, (20, 10))[1] - 3


def test_images_keep_their_shape():
    sheet = ranked_list_sheet(plain(0, (40, 40)), [], [], image_size=(20, 10))
    top, left = sheet_corner(0, (20, 10))
    assert (sheet[top + 5:top + 15, left:left + 10] == 0).all() and (sheet[top:top + 5, left:left + 10] == 255).all()


@pytest.mark.parametrize('arguments, error, message', [
    (dict(distances=[1.]), ValueError, '2 images need as many distances and matches, got 1 and 2'),
    (dict(matches=[True]), ValueError, 'got 2 and 1'),
    (dict(image_size=(0, 4)), ValueError, 'image_size must be positive'),
    (dict(query=np.zeros((4, 4))), TypeError, 'must be uint8'),
])
def test_what_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ranked_list_sheet(**{**dict(query=plain(0), gallery=[plain(1)] * 2, distances=[1., 2.]), **arguments})
