"""P identities x K images a batch."""

from collections.abc import Iterable, Sized

import numpy as np

from mmreid.registry import DATA_SAMPLERS

from .base import EpochSampler
from .pk_queues import PKQueue

#: What an epoch may pass over.
EPOCH_OVER = ('images', 'identities')


@DATA_SAMPLERS.register_module()
class PKSampler(EpochSampler):
    """Batches of P identities with K images each (*In Defense of the Triplet Loss for Person Re-Identification*).

    The labels are read at each iteration through ``dataset.get_labels()``; rows labelled -1 are never drawn.

    * An epoch has ``num_rows // (P * K * world_size)`` batches a rank (at least one), about one pass over the images;
      with ``epoch_over='identities'`` it has ``num_identities // (P * world_size)``, each identity at most once.
    * Identities come in shuffled rounds: the turns of any two in an epoch differ by at most one.
    * Images of an identity come in shuffled rounds too. An identity with fewer than K images gives each of them and
      fills up by drawing with replacement; none is skipped.
    * The identities of a batch are distinct, also across ranks, so a global batch has ``P * world_size`` of them.

    Set the data loader's ``batch_size`` to ``P * K``.

    Args:
        dataset (Sized): Dataset with ``get_labels() -> (N,)`` int64.
        num_pids (int): P, identities in a batch of one rank.
        num_instances (int): K, images of each identity.
        seed (int, optional): Seed shared by all ranks. Defaults to None: drawn once and synchronised.
        epoch_over (str): ``'images'`` or ``'identities'``, what an epoch passes over once. Published schedules count
            either: with the 751 identities of Market-1501 and K = 4, an epoch of the second kind is four times as
            short. Defaults to ``'images'``.

    Raises:
        ValueError: If P or K is not positive, ``epoch_over`` is unknown, or there are fewer than ``P * world_size``
            identities (found out when iterated where no row has a label yet).
        TypeError: If the dataset has no ``get_labels``.

    Example:
        >>> train_dataloader = dict(batch_size=64, sampler=dict(type='PKSampler', num_pids=16, num_instances=4), ...)
    """

    def __init__(self,
                 dataset: Sized,
                 num_pids: int,
                 num_instances: int,
                 seed: int | None = None,
                 epoch_over: str = 'images') -> None:
        super().__init__(dataset, seed)
        if epoch_over not in EPOCH_OVER:
            raise ValueError(f'epoch_over must be one of {EPOCH_OVER}, got {epoch_over!r}')
        self.epoch_over = epoch_over
        if num_pids < 1 or num_instances < 1:
            raise ValueError(f'num_pids and num_instances must be positive, got {num_pids} and {num_instances}')
        if not hasattr(dataset, 'get_labels'):
            raise TypeError(f'{type(self).__name__} needs a dataset with get_labels(), '
                            f'{type(dataset).__name__} has none')
        self.num_pids = num_pids
        self.num_instances = num_instances
        labels = self._labels()
        if (labels >= 0).any():  # pseudo labels come later: then an iteration finds out
            self._require_enough(labels)

    @property
    def batch_size(self) -> int:
        """Samples in a batch of one rank, ``P * K``."""
        return self.num_pids * self.num_instances

    def __len__(self) -> int:
        return self._num_batches(self._labels()) * self.batch_size

    def epoch_indices(self) -> np.ndarray:
        """Rows drawn by this rank in the epoch."""
        labels = self._labels()
        self._require_enough(labels)
        rows = np.flatnonzero(labels >= 0)
        queue = PKQueue(rows, labels[rows], self.num_instances, self.order_rng())
        return self._own_rows(queue for _ in range(self._num_batches(labels)))

    def _own_rows(self, queues: Iterable[PKQueue]) -> np.ndarray:
        """A batch of each queue; every rank draws the whole one and keeps its own identities."""
        own = slice(self.rank * self.num_pids, (self.rank + 1) * self.num_pids)
        rows: list[int] = []
        for queue in queues:
            for drawn in queue.draw(self.num_pids * self.world_size)[own]:
                rows += drawn
        return np.asarray(rows, dtype=np.int64)

    def _labels(self) -> np.ndarray:
        return np.asarray(self.dataset.get_labels())

    def _num_batches(self, labels: np.ndarray) -> int:
        if self.epoch_over == 'identities':
            return max(1, len(_identities(labels)) // (self.num_pids * self.world_size))
        return max(1, int((labels >= 0).sum()) // (self.batch_size * self.world_size))

    def _require_enough(self, labels: np.ndarray) -> None:
        available, needed = len(_identities(labels)), self.num_pids * self.world_size
        if needed > available:
            raise ValueError(f'PKSampler needs num_pids={self.num_pids} x {self.world_size} process(es) = {needed} '
                             f'different identities in a batch, the dataset has {available}. Lower num_pids to at most '
                             f'{available // self.world_size} (and batch_size with it) or use more identities.')


def _identities(labels: np.ndarray) -> list[int]:
    return np.unique(labels[labels >= 0]).tolist()
