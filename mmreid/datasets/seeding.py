"""Randomness of one sample as a pure function of a seed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import get_worker_info


class SeededIndex(int):
    """A row number that carries the seed of its sample.

    Samplers yield it; ``ReIDDataset.__getitem__`` seeds every random draw of the pipeline with it. It pickles, so it
    passes through the queues of data loader workers.

    Args:
        value (int): Row in the dataset.
        seed (int): Seed in ``[0, 2**32)``.

    Example:
        >>> index = SeededIndex(7, seed=123)
        >>> index == 7, index.seed
        (True, 123)
    """

    seed: int

    def __new__(cls, value: int, seed: int) -> 'SeededIndex':
        """Create the index."""
        self = super().__new__(cls, value)
        self.seed = int(seed)
        return self

    def __reduce__(self):
        return SeededIndex, (int(self), self.seed)


@contextmanager
def seeded_rng(seed: int | None) -> Iterator[None]:
    """Seed ``random``, ``numpy.random`` and torch's CPU generator, and put their states back afterwards.

    In a loading process of a data loader the states are not put back.

    Args:
        seed (int, optional): Seed in ``[0, 2**32)``; ``None`` does nothing.
    """
    if seed is None:
        yield
        return
    if get_worker_info() is not None:
        # A loading process has no generators but those of its samples, each of which is seeded: nothing to put back.
        _seed(seed)
        yield
        return
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    _seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.random.default_generator.manual_seed(seed)
