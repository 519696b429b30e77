"""Whose turn it is: identities and their images in shuffled rounds."""

from collections import deque
from collections.abc import Sequence

import numpy as np


class PKQueue:
    """Distinct identities with K images each, both in shuffled rounds.

    An identity with fewer than K images gives each of them and fills up by drawing with replacement.

    Args:
        rows (np.ndarray): Rows of the dataset to draw from, int64.
        labels (np.ndarray): Their labels, all at least 0.
        num_instances (int): K, images of an identity in a draw.
        rng (np.random.Generator): Source of the rounds.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, num_instances: int, rng: np.random.Generator) -> None:
        order = np.argsort(labels, kind='stable')
        identities, starts = np.unique(labels[order], return_index=True)
        groups = np.split(rows[order], starts[1:])
        self._images = {label: _ImageQueue(group, rng) for label, group in zip(identities.tolist(), groups)}
        self._rounds = _IdentityQueue(identities, rng)
        self._num_instances = num_instances

    def draw(self, num_pids: int) -> list[list[int]]:
        """K rows of each of the next ``num_pids`` identities, which are distinct."""
        return [self._images[label].draw(self._num_instances) for label in self._rounds.draw(num_pids)]


class _IdentityQueue:
    """Shuffled rounds of all identities, cut into draws without repetition."""

    def __init__(self, identities: Sequence[int] | np.ndarray, rng: np.random.Generator) -> None:
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
