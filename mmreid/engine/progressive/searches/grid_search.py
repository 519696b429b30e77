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

    Every cycle starts at the first set; one with more trials than sets starts over. A grid of ``k`` and ``p`` only is
    a search in a space that has nothing else: what is not in the space stays as the config of the model has it.
    Where all trials of a cycle failed, what is exploited is the set that would be the next.

    Args:
        values (dict[str, Sequence], optional): Numbers of each parameter; the sets are all combinations, the last
            parameter changing fastest. Defaults to None.
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
            if not isinstance(values, Mapping) or not all(_is_list(item) for item in values.values()):
                raise TypeError(f'values must be a dict of lists of numbers, got {values!r}')
            points = [dict(zip(values, numbers)) for numbers in itertools.product(*values.values())] if values else []
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

    def _suggest(self, space: SearchSpace, history: History, seed: int) -> Values:
        # All are checked before the first is tried: a mistake in the last must not wait for hours.
        return [space.check(point) for point in self.points][history.trial % len(self.points)]

    def _choose(self, space: SearchSpace, history: History, seed: int) -> Values:
        best = history.best(history.rows_of_cycle)
        return self._suggest(space, history, seed) if best is None else history.values[best]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
