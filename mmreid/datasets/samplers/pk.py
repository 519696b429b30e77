"""P identities x K images a batch."""

from collections import deque
from collections.abc import Sized

import numpy as np

from mmreid.registry import DATA_SAMPLERS

from .base import EpochSampler


@DATA_SAMPLERS.register_module()
class PKSampler(EpochSampler):
    """Batches of P identities with K images each (*In Defense of the Triplet Loss for Person Re-Identification*).

    The labels are read at each iteration through ``dataset.get_labels()``; rows labelled -1 are never drawn.

    * An epoch has ``num_rows // (P * K * world_size)`` batches a rank (at least one), about one pass over the images.
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

    Raises:
        ValueError: If P or K is not positive, or (when iterated) there are fewer than ``P * world_size`` identities.
        TypeError: If the dataset has no ``get_labels``.

    Example:
        >>> train_dataloader = dict(batch_size=64, sampler=dict(type='PKSampler', num_pids=16, num_instances=4), ...)
    """

    def __init__(self, dataset: Sized, num_pids: int, num_instances: int, seed: int | None = None) -> None:
        super().__init__(dataset, seed)
        if num_pids < 1 or num_instances < 1:
            raise ValueError(f'num_pids and num_instances must be positive, got {num_pids} and {num_instances}')
        if not hasattr(dataset, 'get_labels'):
            raise TypeError(f'PKSampler needs a dataset with get_labels(), {type(dataset).__name__} has none')
        self.num_pids = num_pids
        self.num_instances = num_instances
        self._require_enough(self._labels())

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
        rng = self.order_rng()
        identities = _identities(labels)
        images = {label: _ImageQueue(np.flatnonzero(labels == label), rng) for label in identities}
        rounds = _IdentityQueue(identities, rng)
        own = slice(self.rank * self.num_pids, (self.rank + 1) * self.num_pids)
        rows: list[int] = []
        for _ in range(self._num_batches(labels)):
            batch = [images[label].draw(self.num_instances) for label in rounds.draw(self.num_pids * self.world_size)]
            for drawn in batch[own]:
                rows += drawn
        return np.asarray(rows, dtype=np.int64)

    def _labels(self) -> np.ndarray:
        return np.asarray(self.dataset.get_labels())

    def _num_batches(self, labels: np.ndarray) -> int:
        return max(1, int((labels >= 0).sum()) // (self.batch_size * self.world_size))

    def _require_enough(self, labels: np.ndarray) -> None:
        available, needed = len(_identities(labels)), self.num_pids * self.world_size
        if needed > available:
            raise ValueError(f'PKSampler needs num_pids={self.num_pids} x {self.world_size} process(es) = {needed} '
                             f'different identities in a batch, the dataset has {available}. Lower num_pids to at most '
                             f'{available // self.world_size} (and batch_size with it) or use more identities.')


def _identities(labels: np.ndarray) -> list[int]:
    return np.unique(labels[labels >= 0]).tolist()


class _IdentityQueue:
    """Shuffled rounds of all identities, cut into draws without repetition."""

    def __init__(self, identities: list[int], rng: np.random.Generator) -> None:
        self._identities, self._rng = np.asarray(identities), rng
        self._queue: deque[int] = deque()

    def draw(self, number: int) -> list[int]:
        if len(self._queue) < number:
            # Identities that still wait for their turn come last in the new round, so that they cannot meet themselves.
            waiting = set(self._queue)
            shuffled = self._rng.permutation(self._identities).tolist()
            self._queue.extend(label for label in shuffled if label not in waiting)
            self._queue.extend(label for label in shuffled if label in waiting)
        return [self._queue.popleft() for _ in range(number)]


class _ImageQueue:
    """Shuffled rounds of the images of one identity."""

    def __init__(self, rows: np.ndarray, rng: np.random.Generator) -> None:
        self._rows, self._rng = rows, rng
        self._queue: list[int] = []

    def draw(self, number: int) -> list[int]:
        if len(self._rows) < number:
            spare = self._rng.choice(self._rows, number - len(self._rows))
            return self._rng.permutation(np.concatenate([self._rows, spare])).tolist()
        if len(self._queue) < number:
            waiting = set(self._queue)
            shuffled = self._rng.permutation(self._rows).tolist()
            self._queue += [row for row in shuffled if row not in waiting]
            self._queue += [row for row in shuffled if row in waiting]
        drawn, self._queue = self._queue[:number], self._queue[number:]
        return drawn
