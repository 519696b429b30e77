"""What a search takes and gives."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..space import SearchSpace, Values

#: A trial: ``dict(values=..., objective=..., cycle=..., trial=...)``; other keys are of no interest here.
Observation = Mapping[str, Any]
#: Larger objectives are as useless as infinite ones, and their squares could overflow.
LARGEST_OBJECTIVE = 1e30
#: Random draws before it is looked whether there is a point that has not been tried at all.
_DRAWS = 100
#: Spaces of at most so many points are listed.
LISTED_POINTS = 100_000


class HyperParameterSearch(ABC):
    """Chooses sets of hyper-parameters to try, and then one to train with; registered in ``TASK_UTILS``.

    Both are pure functions of the space, of what has been observed and of a seed: nothing is kept from one call to the
    next, so that a run that is resumed from its record goes on as if it had not been interrupted. Objectives are
    minimised.

    An observation is ``dict(values=..., objective=..., cycle=..., trial=...)``, where values are those of the space.
    An objective that is None, NaN, infinite or beyond :data:`LARGEST_OBJECTIVE` is that of a trial that failed.
    ``pending=True`` marks a trial that another process is at: its values are known and its objective is not.
    """

    def suggest(self, space: SearchSpace, observations: Sequence[Observation], seed: int,
                cycle: Optional[int] = None) -> Values:
        """The next set to explore.

        Args:
            space (SearchSpace): What is searched.
            observations (Sequence[dict]): What has been tried so far, in its order.
            seed (int): Seed of the run, not negative.
            cycle (int, optional): The cycle that is explored. Defaults to None: the last that was observed, 0 at first.

        Returns:
            dict: A number for each parameter.

        Raises:
            TypeError: If an observation is none.
            ValueError: If its values are not of this space.
        """
        return space.check(self._suggest(space, History(space, observations, cycle), _checked_seed(seed)))

    def choose(self, space: SearchSpace, observations: Sequence[Observation], seed: int,
               cycle: Optional[int] = None) -> Values:
        """The set to exploit, see :meth:`suggest`.

        Raises:
            ValueError: If the cycle has no observation to choose by.
        """
        history = History(space, observations, cycle)
        if not history.rows_of_cycle:
            raise ValueError(f'{type(self).__name__} cannot choose before a set was tried: cycle {history.cycle} has '
                             'no observation')
        return space.check(self._choose(space, history, _checked_seed(seed)))

    def check(self, space: SearchSpace, num_trials: int) -> None:
        """Make sure, before anything is trained, that the arguments suit what is searched.

        Args:
            space (SearchSpace): What is searched.
            num_trials (int): Trials of a cycle.

        Raises:
            TypeError: If :meth:`settings` are not plain, or a value is of another type than its parameter.
            ValueError: If the search cannot do with this space or this number of trials.
        """
        try:
            json.dumps(self.settings())
        except (TypeError, ValueError) as error:
            raise TypeError(f'settings() of {type(self).__name__} must be plain values, fit for JSON, because a '
                            f'resumed run compares them: {error}') from error

    def explain(self, space: SearchSpace, observations: Sequence[Observation], values: Mapping[str, Any],
                cycle: Optional[int] = None) -> dict[str, float]:
        """What the search knows about values, for logs: nothing here; see :class:`BayesianSearch`."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Type and arguments, plain and fit for JSON: two searches with the same ones behave alike."""
        return dict(type=type(self).__name__)

    def __repr__(self) -> str:
        inner = ', '.join(f'{key}={value!r}' for key, value in self.settings().items() if key != 'type')
        return f'{type(self).__name__}({inner})'

    @abstractmethod
    def _suggest(self, space: SearchSpace, history: 'History', seed: int) -> Values:
        """The next set to explore, from observations that are checked."""

    @abstractmethod
    def _choose(self, space: SearchSpace, history: 'History', seed: int) -> Values:
        """The set to exploit, from observations that are checked, at least one of the cycle."""


class History:
    """Observations as arrays.

    Attributes:
        cycle (int): The cycle that is explored.
        values (list[dict]): Values of all observations, checked.
        points (np.ndarray): The same in the unit cube, ``(N, D)``.
        objectives (np.ndarray): Objective of each, NaN where the trial failed or is pending, ``(N,)``.
        pending (np.ndarray): Whether its objective is still to come, bool ``(N,)``.
        rows_of_cycle (list[int]): Which observations are of the cycle.
    """

    def __init__(self, space: SearchSpace, observations: Sequence[Observation], cycle: Optional[int] = None) -> None:
        for number, observation in enumerate(observations):
            if not isinstance(observation, Mapping) or not {'values', 'objective'} <= set(observation):
                raise TypeError('an observation is dict(values=..., objective=..., cycle=..., trial=...), and number '
                                f'{number} is {observation!r}')
        self.values = [space.check(observation['values']) for observation in observations]
        self.points = np.array([space.normalise(values) for values in self.values]).reshape(-1, len(space))
        self.pending = np.array([bool(observation.get('pending')) for observation in observations], dtype=bool)
        self.objectives = np.array([math.nan if wait else _finite(observation['objective'])
                                    for wait, observation in zip(self.pending, observations)], dtype=np.float64)
        cycles = [int(observation.get('cycle', 0)) for observation in observations]
        self.cycle = max(cycles, default=0) if cycle is None else int(cycle)
        self.rows_of_cycle = [row for row, number in enumerate(cycles) if number == self.cycle]

    @property
    def trial(self) -> int:
        """Number of the next trial in its cycle."""
        return len(self.rows_of_cycle)

    def rows(self, everything: bool) -> list[int]:
        """Rows of the cycle, or all of them up to it."""
        return list(range(len(self.values))) if everything else self.rows_of_cycle

    def rng(self, seed: int, *purpose: int) -> np.random.Generator:
        """Random numbers that depend on nothing but the seed, the cycle, the number of the trial and the purpose."""
        return np.random.default_rng([seed, self.cycle, self.trial, *purpose])

    def draw_new(self, space: SearchSpace, rng: np.random.Generator) -> Values:
        """Draw values that this cycle has not tried yet, where there are any."""
        tried = self.tried()
        for point in space.sample_points(rng, _DRAWS):
            values = space.denormalise(point)
            if tuple(values.values()) not in tried:
                return values
        points = space.all_points(LISTED_POINTS)
        values = [space.denormalise(point) for point in points] if points is not None else []
        left = [item for item in values if tuple(item.values()) not in tried]
        return left[rng.integers(len(left))] if left else space.sample(rng)

    def tried(self) -> set[tuple[float, ...]]:
        """Values that this cycle has tried or is trying, in the order of the space."""
        return {tuple(self.values[row].values()) for row in self.rows_of_cycle}

    def best(self, rows: Sequence[int]) -> Optional[int]:
        """The row with the lowest objective, the first among equal ones; None where all failed."""
        known = [row for row in rows if not math.isnan(self.objectives[row])]
        return min(known, key=lambda row: self.objectives[row]) if known else None


def _finite(objective: Any) -> float:
    """The objective, or NaN for that of a failed trial."""
    value = math.nan if objective is None else float(objective)
    return value if abs(value) <= LARGEST_OBJECTIVE else math.nan


def _checked_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f'seed must be a whole number that is not negative, got {seed!r}')
    return int(seed)
