import copy

import numpy as np
import pytest

from mmreid.datasets.image_cache import ImageCache
from mmreid.datasets.image_io import ImageReadError


def images(number=600):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (rng.integers(2, 9), rng.integers(2, 9), 3), dtype=np.uint8) for _ in range(number)]


def test_images_come_back_exactly():
    expected = images()
    cache = ImageCache.build(expected.__getitem__, len(expected), limit=2**30)
    assert len(cache) == 600 and cache.nbytes == sum(image.nbytes for image in expected)
    assert all(np.array_equal(cache.get(row), image) for row, image in enumerate(expected))


def test_writing_into_an_image_leaves_the_cache_alone():
    cache = ImageCache.build(images(1).__getitem__, 1, limit=2**20)
    before = cache.get(0)
    cache.get(0)[:] = 0
    assert np.array_equal(cache.get(0), before)


def test_limit_is_respected():
    expected = [np.full((10, 10, 3), row, dtype=np.uint8) for row in range(20)]
    cache = ImageCache.build(expected.__getitem__, 20, limit=2000)
    assert len(cache) == 6 and cache.nbytes == 1800
    assert cache.get(5)[0, 0, 0] == 5 and cache.get(6) is None


def test_limit_below_one_image():
    cache = ImageCache.build(images(3).__getitem__, 3, limit=1)
    assert len(cache) == 0 and cache.nbytes == 0 and cache.get(0) is None


def test_unreadable_images_are_all_named():
    def load(row):
        if row % 2:
            raise ImageReadError(f'image "{row}.jpg" is empty')
        return np.zeros((2, 2, 3), dtype=np.uint8)

    with pytest.raises(ImageReadError, match='300 image') as error:
        ImageCache.build(load, 600, limit=2**20)
    assert '"1.jpg"' in str(error.value) and '"19.jpg"' in str(error.value) and '290 more' in str(error.value)


def test_copies_share_the_buffer():
    cache = ImageCache.build(images(2).__getitem__, 2, limit=2**20)
    assert copy.deepcopy(cache) is cache
