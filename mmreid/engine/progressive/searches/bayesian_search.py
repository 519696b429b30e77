"""The search of PLA: a Gaussian process of the objective and the expected improvement of new sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Optional, Union

import numpy as np

from mmreid.registry import TASK_UTILS

from ..space import SearchSpace, Values
from .base import LISTED_POINTS, History, HyperParameterSearch, Observation
from .gaussian_process import BANDWIDTHS, GaussianProcess, expected_improvement

EXPLOITS = ('expected_improvement', 'best')
HISTORIES = ('cycle', 'all')


@dataclass(frozen=True)
class Belief:
    """What is believed about the objective after some observations.

    Attributes:
        process (GaussianProcess): Over the unit cube of a space.
        best (float): Lowest objective that was observed, f(w').
        points (np.ndarray): Points that were tried, ``(N, D)``.
    """

    process: GaussianProcess
    best: float
    points: np.ndarray

    def expected_improvement(self, points: np.ndarray) -> np.ndarray:
        """Expected improvement at points ``(M, D)``: ``(M,)``, in units of the objective."""
        return expected_improvement(*self.process.predict(points), self.best)


@TASK_UTILS.register_module()
class BayesianSearch(HyperParameterSearch):
    """Bayesian optimisation of *Progressive Learning Algorithm for Efficient Person Re-Identification*, section 3.3.

    The objective of trials is taken for a Gaussian process (Eq. 6). Points are drawn evenly, and that with the largest
    expected improvement (Eq. 7, 8) over the lowest so far is the next. As in Algorithm 1, all trials of a cycle are
    drawn at random (but anew in each cycle) and the process serves to choose what is exploited: a set that is new, not
    one of those that were tried. With ``num_random``, trials after these are guided, too.

    Integer parameters are whole numbers wherever the process is asked or taught, so a point that is proposed is the one
    that was judged, and points that were tried are not proposed while there are others. A trial that failed (see
    :class:`HyperParameterSearch`) counts with the largest objective of those that did not. One that another process is
    still at counts with the mean that is expected of it, which keeps others away from it. Trials from random draws are
    those of :class:`RandomSearch` with the same seed.

    Args:
        num_random (int, optional): Trials of a cycle that are drawn before the process guides. Defaults to None: all.
        exploit (str): ``'expected_improvement'``: the new set of the largest expected improvement, as the paper does;
            ``'best'``: the observed set of the lowest objective. Defaults to ``'expected_improvement'``.
        history (str): Which observations count, ``'cycle'`` or ``'all'`` up to the cycle. Objectives compare sets from
            one state of the network, which is another in each cycle. Defaults to ``'cycle'``.
        num_candidates (int): Points that are drawn for the maximum of the expected improvement; a space of no more
            points is listed instead. Defaults to 10000.
        bandwidth (str | float | dict[str, float]): Of the kernel: ``'samples'``, ``'likelihood'``, a number in units of
            the ranges, or one for each parameter by its name, see :class:`GaussianProcess`. Defaults to ``'samples'``.
        noise (float): Variance of the objective of one set, as a share of the variance of all objectives. Defaults
            to 1e-3.

    Raises:
        TypeError: If a number is of another type.
        ValueError: If an option is unknown or out of its range.

    Note:
        Built on scikit-learn, which is needed anyhow. The package bayesian-optimization (3.4) wraps the same regressor
        and adds little to it here, at the price of two packages: its optimizer keeps its state, its kernel has to be
        replaced by wrapping a part of it, objectives must be negated and finite, its closed form divides by zero
        deviations, and where parameters are integers it leaves the maximum to differential evolution, whose numbers
        depend on the version of SciPy. What the paper describes is a sample of candidates and their largest expected
        improvement, which is a line of NumPy.

    Example:
        >>> search = dict(type='BayesianSearch')  # Algorithm 1: all random, then exploit the expected improvement
        >>> search = dict(type='BayesianSearch', num_random=4, exploit='best')  # half of 8 trials are guided
    """

    def __init__(self, num_random: Optional[int] = None, exploit: str = 'expected_improvement', history: str = 'cycle',
                 num_candidates: int = 10_000, bandwidth: Union[str, float, Mapping[str, float]] = 'samples',
                 noise: float = 1e-3) -> None:
        if num_random is not None:
            _check_count(num_random, 'num_random', 0)
        _check_count(num_candidates, 'num_candidates', 1)
        for name, value, known in (('exploit', exploit, EXPLOITS), ('history', history, HISTORIES)):
            if value not in known:
                raise ValueError(f'{name} must be {" or ".join(map(repr, known))}, got {value!r}')
        if not _is_number(noise):
            raise TypeError(f'noise must be a number, got {noise!r}')
        if not 0 <= noise < np.inf:
            raise ValueError(f'noise must be a finite number that is not negative, got {noise}')
        self.num_random, self.exploit, self.history, self.num_candidates = num_random, exploit, history, num_candidates
        self.bandwidth, self.noise = _checked_bandwidth(bandwidth), float(noise)

    def settings(self) -> dict[str, Any]:
        """Type and arguments."""
        return dict(super().settings(), num_random=self.num_random, exploit=self.exploit, history=self.history,
                    num_candidates=self.num_candidates, bandwidth=self.bandwidth, noise=self.noise)

    def check(self, space: SearchSpace, num_trials: int) -> None:
        """Make sure that bandwidths by name are those of the parameters."""
        super().check(space, num_trials)
        if isinstance(self.bandwidth, dict) and set(self.bandwidth) != set(space.names):
            raise ValueError(f'bandwidth by name must have one for each of {", ".join(space.names)}, got '
                             f'{", ".join(self.bandwidth)}')

    def fit(self, space: SearchSpace, observations: Sequence[Observation],
            cycle: Optional[int] = None) -> Optional[Belief]:
        """What is believed after observations; None where no trial has an objective."""
        return self._fit(space, History(space, observations, cycle))

    def explain(self, space: SearchSpace, observations: Sequence[Observation], values: Mapping[str, Any],
                cycle: Optional[int] = None) -> dict[str, float]:
        """What is believed about values.

        Returns:
            dict[str, float]: ``mean``, ``std`` and ``expected_improvement`` of the objective; empty where no trial has
            one.
        """
        belief = self.fit(space, observations, cycle)
        if belief is None:
            return {}
        point = space.normalise(values)[None]
        mean, std = belief.process.predict(point)
        return dict(mean=float(mean[0]), std=float(std[0]),
                    expected_improvement=float(belief.expected_improvement(point)[0]))

    def _suggest(self, space: SearchSpace, history: History, seed: int) -> Values:
        if self.num_random is None or history.trial < self.num_random:
            return history.draw_new(space, history.rng(seed))
        return self._most_promising(space, history, seed)

    def _choose(self, space: SearchSpace, history: History, seed: int) -> Values:
        best = history.best(history.rows(self.history == 'all'))
        if self.exploit == 'best' and best is not None:
            return history.values[best]
        return self._most_promising(space, history, seed)

    def _most_promising(self, space: SearchSpace, history: History, seed: int) -> Values:
        """The new set with the largest expected improvement; a random one where nothing is known."""
        belief = self._fit(space, history)
        if belief is None:
            return history.draw_new(space, history.rng(seed))
        points = self._candidates(space, belief.points, history.rng(seed, 1))
        return space.denormalise(points[np.argmax(belief.expected_improvement(points))])

    def _candidates(self, space: SearchSpace, tried: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Points to look at, without those that were tried unless there are no others."""
        listed = space.all_points(self.num_candidates)
        points = space.sample_points(rng, self.num_candidates) if listed is None else listed
        new = _without(points, tried)
        if not len(new) and listed is None:
            listed = space.all_points(LISTED_POINTS)
            new = new if listed is None else _without(listed, tried)
        return new if len(new) else points

    def _fit(self, space: SearchSpace, history: History) -> Optional[Belief]:
        bandwidth = self.bandwidth
        if isinstance(bandwidth, dict):
            bandwidth = [bandwidth[name] for name in space.names]
        rows = history.rows(self.history == 'all')
        best = history.best(rows)
        if best is None:
            return None
        points, objectives, pending = history.points[rows], history.objectives[rows], history.pending[rows]
        failed = np.isnan(objectives) & ~pending
        objectives = np.where(failed, np.nanmax(objectives), objectives)
        if pending.any():
            known = GaussianProcess(points[~pending], objectives[~pending], bandwidth, self.noise)
            objectives[pending] = known.predict(points[pending])[0]
        process = GaussianProcess(points, objectives, bandwidth, self.noise)
        return Belief(process, float(history.objectives[best]), points)


def _without(points: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Points that are not among those that were tried."""
    return points[~(np.abs(points[:, None] - tried[None]) < 1e-9).all(axis=-1).any(axis=-1)]


def _check_count(value: Any, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f'{name} must be a whole number, got {value!r}')
    if value < least:
        raise ValueError(f'{name} must be at least {least}, got {value}')


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _checked_bandwidth(bandwidth: Any) -> Union[str, float, dict[str, float]]:
    """A rule, a number, or numbers by name, plain."""
    if isinstance(bandwidth, str):
        if bandwidth not in BANDWIDTHS:
            raise ValueError(f'bandwidth must be {", ".join(map(repr, BANDWIDTHS))}, a number, or a number for each '
                             f'parameter by its name, got {bandwidth!r}')
        return bandwidth
    numbers = bandwidth if isinstance(bandwidth, Mapping) and bandwidth else dict(all=bandwidth)
    for name, value in numbers.items():
        if not isinstance(name, str) or not _is_number(value):
            raise TypeError('bandwidth must be a number, or for several of them a dict by the names of the parameters, '
                            f'such as dict(k=0.2, p=0.5), got {bandwidth!r}')
        if not 0 < value < np.inf:
            raise ValueError(f'bandwidths must be positive numbers, got {bandwidth!r}')
    return {name: float(value) for name, value in numbers.items()} if numbers is bandwidth else float(bandwidth)
