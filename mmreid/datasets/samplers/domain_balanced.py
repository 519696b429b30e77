"""Each domain its share of every batch."""

from collections.abc import Mapping, Sized

import numpy as np

from mmreid.registry import DATA_SAMPLERS

from .base import EpochSampler
from .domains import apportion, interleave, read_domains, shuffled_rounds


@DATA_SAMPLERS.register_module()
class DomainBalancedSampler(EpochSampler):
    """Rows of several domains in fixed proportions, whatever the sizes of their datasets.

    * An epoch is as long as the dataset. The domains follow one another evenly, so that every batch holds each in its
      proportion, up to one image.
    * The rows of a domain come in shuffled rounds: those of a small one several times in an epoch, those of a large one
      at most once. An epoch starts new rounds.
    * A rank takes a stretch of the epoch, as balanced as the whole.

    Args:
        dataset (Sized): Dataset with ``get_domains() -> (N,)`` int64, such as
            :class:`~mmreid.datasets.merged.MergedReIDDataset`.
        weights (Mapping[int, float], optional): Positive weight of each domain, proportional to its share. Defaults to
            None: equal shares.
        seed (int, optional): Seed shared by all ranks. Defaults to None: drawn once and synchronised.

    Raises:
        ValueError: If a weight is not positive, or the weights do not name exactly the domains of the dataset.
        TypeError: If the dataset has no ``get_domains``.

    Example:
        >>> train_dataloader = dict(sampler=dict(type='DomainBalancedSampler', weights={0: 3, 1: 1}), ...)
    """

    def __init__(self, dataset: Sized, weights: Mapping[int, float] | None = None, seed: int | None = None) -> None:
        super().__init__(dataset, seed)
        domains = np.unique(read_domains(dataset, type(self).__name__)).tolist()
        if weights is not None:
            weights = {int(domain): float(weight) for domain, weight in weights.items()}
            if sorted(weights) != domains:
                raise ValueError(f'weights must name the domains of the dataset, {domains}, got {sorted(weights)}')
            if not all(0 < weight < np.inf for weight in weights.values()):
                raise ValueError(f'weights must be positive, got {weights}; leave a dataset out to not use it')
        self.weights = weights

    def epoch_indices(self) -> np.ndarray:
        """Rows drawn by this rank in the epoch."""
        rng, total = self.order_rng(), len(self) * self.world_size
        domains = read_domains(self.dataset, type(self).__name__)
        present = np.unique(domains).tolist()
        shares = [1. if self.weights is None else self.weights[domain] for domain in present]
        numbers = apportion(max(total, len(present)), shares)
        turns = interleave(numbers, rng)
        order = np.empty(len(turns), dtype=np.int64)
        for place, (domain, number) in enumerate(zip(present, numbers)):
            order[turns == place] = shuffled_rounds(np.flatnonzero(domains == domain), number, rng)
        return order[:total].reshape(self.world_size, -1)[self.rank]

    def __len__(self) -> int:
        return self._rows_per_rank()
