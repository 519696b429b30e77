import pickle
import random

import numpy as np
import pytest
import torch

from mmreid.datasets.seeding import SeededIndex, seeded_rng


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seeded_index_is_an_int_that_pickles():
    index = pickle.loads(pickle.dumps([SeededIndex(7, seed=2**32 - 1)]))[0]
    assert index == 7 and index.seed == 2**32 - 1
    assert ['a', 'b'][SeededIndex(1, seed=0)] == 'b'


def test_seeded_rng_decides_the_draws():
    with seeded_rng(3):
        first = draw()
    with seeded_rng(3):
        assert draw() == first
    with seeded_rng(4):
        assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_seeded_rng_restores_the_global_states():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with seeded_rng(5):
        draw()
    with pytest.raises(KeyError), seeded_rng(6):
        draw()
        raise KeyError
    assert draw() == expected


def test_no_seed_leaves_the_states_alone():
    np.random.seed(1)
    with seeded_rng(None):
        inside = np.random.rand()
    np.random.seed(1)
    assert np.random.rand() == inside
