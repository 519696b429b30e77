"""Samplers whose stream is a pure function of (seed, epoch, position)."""

import math
from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmreid.datasets.seeding import SeededIndex
from mmreid.registry import DATA_SAMPLERS

_ORDER, _SAMPLES = 0, 1  # independent random streams of an epoch


class EpochSampler(Sampler):
    """Base of mmreid's samplers.

    A subclass says which rows this rank draws in an epoch (:meth:`epoch_indices`). Iterating yields them as
    :class:`SeededIndex`, whose seed depends on the sampler's seed, the epoch, the rank and the position only. So the
    augmented images are the same for any number of workers, and after a resume.

    Args:
        dataset (Sized): The dataset.
        seed (int, optional): Seed shared by all ranks. Defaults to None: drawn once and synchronised.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        self.dataset = dataset
        self.seed = int(sync_random_seed() if seed is None else seed)
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0
        self._start = 0

    def epoch_indices(self) -> np.ndarray:
        """Rows drawn by this rank in the epoch ``self.epoch``, int64, ``len(self)`` of them."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Number of samples of this rank in a full epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        indices = self.epoch_indices()
        seeds = self.sample_seeds(len(indices))
        start, self._start = self._start, 0
        if start > len(indices):
            raise ValueError(f'cannot start at sample {start:,} of an epoch of {len(indices):,} samples')
        return map(SeededIndex, indices[start:].tolist(), seeds[start:].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = int(epoch)

    def set_start(self, num_samples: int) -> None:
        """Skip the first samples of this rank in the next iteration, and in that one only.

        Raises:
            ValueError: If ``num_samples`` is negative.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples must not be negative, got {num_samples}')
        self._start = int(num_samples)

    def order_rng(self) -> np.random.Generator:
        """Fresh generator for the order of the epoch, the same on all ranks."""
        return np.random.default_rng([self.seed, self.epoch, _ORDER])

    def sample_seeds(self, num_samples: int) -> np.ndarray:
        """Seeds of this rank's samples, uint32; the n-th does not depend on ``num_samples``."""
        return np.random.SeedSequence([self.seed, self.epoch, _SAMPLES, self.rank]).generate_state(num_samples)

    def _share(self, order: np.ndarray) -> np.ndarray:
        """Every ``world_size``-th row for this rank; rows from the front are repeated to make the ranks equal."""
        padded = np.resize(order, self._rows_per_rank() * self.world_size)
        return padded[self.rank::self.world_size]

    def _rows_per_rank(self) -> int:
        return math.ceil(len(self.dataset) / self.world_size)


@DATA_SAMPLERS.register_module()
class ShuffleSampler(EpochSampler):
    """Each row once an epoch, in a new random order.

    With several ranks, some of the first rows are drawn twice when the dataset is not divisible.

    Args:
        dataset (Sized): The dataset.
        seed (int, optional): Seed shared by all ranks. Defaults to None: drawn once and synchronised.
    """

    def epoch_indices(self) -> np.ndarray:
        """Rows drawn by this rank in the epoch."""
        return self._share(self.order_rng().permutation(len(self.dataset)))

    def __len__(self) -> int:
        return self._rows_per_rank()


@DATA_SAMPLERS.register_module()
class EvalSampler(EpochSampler):
    """Rows in their order, unseeded, interleaved over the ranks.

    When the dataset is not divisible, the last ranks repeat rows from the front; the metric drops the repetitions by
    ``sample_idx``.

    Args:
        dataset (Sized): The dataset.
        seed (int, optional): Accepted because mmengine passes it; unused.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        super().__init__(dataset, seed=0)

    def epoch_indices(self) -> np.ndarray:
        """Rows of this rank."""
        return self._share(np.arange(len(self.dataset)))

    def __iter__(self) -> Iterator[int]:
        return map(int, super().__iter__())

    def __len__(self) -> int:
        return self._rows_per_rank()
