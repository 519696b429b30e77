"""A fixed list of sets."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from mmreid.registry import TASK_UTILS

from ..space import SearchSpace, Values
from .base import History, HyperParameterSearch


@TASK_UTILS.register_module()
class GridSearch(HyperParameterSearch):
    """Tries the sets of a list one after another and exploits the best of those of the cycle.

    Every cycle tries all of them, from the first on, so ``num_trials`` of the loop is their number. A grid of ``k`` and
    ``p`` only is a search in a space that has nothing else: what is not in the space stays as the config of the model
    has it. Where all trials of a cycle failed, what is exploited is the set that would be the next.

    Args:
        values (dict[str, Sequence], optional): Numbers of each parameter; the sets are all combinations, by the names
            of the parameters in the order of the alphabet, the last one changing fastest. Defaults to None.
        points (Sequence[dict], optional): Instead, the sets themselves. Defaults to None.

    Raises:
        TypeError: If they are something else.
        ValueError: If not exactly one of both is given, or it is empty.

    Example:
        >>> search = dict(type='GridSearch', values=dict(k=[1, 4, 8], p=[1, 8]))  # num_trials=6
        >>> search = dict(type='GridSearch', points=[dict(k=1, p=1), dict(k=4, p=1), dict(k=8, p=16)])
    """

    def __init__(self, values: Optional[Mapping[str, Sequence[float]]] = None,
                 points: Optional[Sequence[Mapping[str, float]]] = None) -> None:
        if (values is None) == (points is None):
            raise ValueError('GridSearch needs either values=dict(k=[1, 4, 8], ...) or points=[dict(k=1, ...), ...]')
        if values is not None:
            if not isinstance(values, Mapping) or not all(isinstance(name, str) and _is_list(item)
                                                          for name, item in values.items()):
                raise TypeError(f'values must be a dict of lists of numbers, got {values!r}')
            names = sorted(values)  # not in the order of the dict, which a config that was written to a file loses
            points = [dict(zip(names, numbers)) for numbers in itertools.product(*(values[name] for name in names))
                      ] if values else []
        elif not _is_list(points) or not all(isinstance(point, Mapping) for point in points):
            raise TypeError(f'points must be a list of dicts, got {points!r}')
        if not points:
            raise ValueError('GridSearch needs at least one set, got none')
        self.points = [dict(point) for point in points]

    def __len__(self) -> int:
        """Number of sets: trials that a cycle needs to see all of them."""
        return len(self.points)

    def settings(self) -> dict[str, Any]:
        """Type and sets."""
        return dict(super().settings(), points=self.points)

    def check(self, space: SearchSpace, num_trials: int) -> None:
        """Make sure that all sets are of the space, and that a cycle tries each of them once."""
        super().check(space, num_trials)
        for number, point in enumerate(self.points, 1):
            try:
                space.check(point)
            except (TypeError, ValueError) as error:
                raise type(error)(f'set {number} of {len(self)} of GridSearch is not of the search space: {error}'
                                  ) from error
        if num_trials != len(self):
            happens = 'some would never be tried' if num_trials < len(self) else 'the first would be tried again'
            raise ValueError(f'GridSearch has {len(self)} sets and a cycle num_trials={num_trials} trials, so {happens}'
                             f': set num_trials={len(self)}, or give {num_trials} sets')

    def _suggest(self, space: SearchSpace, history: History, seed: int) -> Values:
        return space.check(self.points[history.trial % len(self)])

    def _choose(self, space: SearchSpace, history: History, seed: int) -> Values:
        best = history.best(history.rows_of_cycle)
        return self._suggest(space, history, seed) if best is None else history.values[best]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
