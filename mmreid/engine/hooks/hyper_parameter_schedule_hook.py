"""Hyper-parameters of the model as functions of the position in training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmreid.engine.progressive.limits import check_ranks
from mmreid.engine.progressive.space import SearchSpace, Values
from mmreid.registry import HOOKS
from mmreid.utils.config import config_errors

from .reach import refuse_unreached

SHAPES = ('step', 'linear')


@dataclass(frozen=True)
class HyperParameterSchedule:
    """The values of one hyper-parameter over time.

    Attributes:
        target: Where the value belongs: path of attributes from the model, ``'heads.tri.loss_module.k'``.
        values: Pairs of a position (epoch or iteration, from 0, the first at 0) and the value from there on.
        shape: ``'step'`` keeps a value until the next one, ``'linear'`` moves evenly to it. After the last pair its
            value stays.
        integer: Whether values are whole numbers, to which ``'linear'`` rounds (halves up). None: if all given are.
    """

    target: str
    values: tuple[tuple[int, float], ...]
    shape: str = 'step'
    integer: Optional[bool] = None

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return all(isinstance(value, int) for _, value in self.values) if self.integer is None else self.integer

    def pair_at(self, position: int) -> int:
        """Number of the pair that a position has, from 0."""
        return sum(begin <= position for begin, _ in self.values) - 1

    def value_at(self, position: int) -> float:
        """The value of a position."""
        number = self.pair_at(position)
        (begin, value), after = self.values[number], self.values[number + 1:number + 2]
        if self.shape == 'step' or not after:
            return value
        (end, goal), = after
        found = value + (goal - value) * (position - begin) / (end - begin)
        return math.floor(found + 0.5) if self.whole else found


@HOOKS.register_module()
class HyperParameterScheduleHook(Hook):
    """Set hyper-parameters of the model by hand-made schedules: curricula such as k from 8 down to 1.

    Any number that is an attribute of the model, of a head or of a loss can be scheduled. The values are a function of
    the epoch (or iteration) alone, so nothing of them is stored: a training that is resumed has the values of an
    uninterrupted one. They are set before every batch, and stay where they were last after training. Trials of a search
    of other hyper-parameters have the values of the epoch that they precede. The log has a line for each pair.

    Args:
        schedules (dict[str, dict]): By name, for the log, the fields of :class:`HyperParameterSchedule`.
        by_epoch (bool): Whether positions are epochs or iterations. Defaults to True.
        period (int, optional): The schedules begin anew after so many epochs (or iterations). Defaults to None: once.

    Raises:
        ValueError: If a schedule has unknown or missing fields, does not begin at 0, is out of order, never changes
            its value, has a value that is no finite number (with ``integer=True``: no whole one), or begins anew
            before its last pair.
        ConfigError: When training starts, if epochs are to be counted in a training by iterations, the training ends
            before the last pair of a schedule, a search of hyper-parameters has the same target, the model has no such
            attribute or refuses a value, or a rank is beyond what a batch has.

    Note:
        Priority ``NORMAL``.

    Example:
        >>> custom_hooks = [dict(type='HyperParameterScheduleHook', schedules=dict(
        ...     k=dict(target='heads.tri.loss_module.k', values=[(0, 8), (150, 1)])))]
    """

    priority = 'NORMAL'

    def __init__(self,
                 schedules: Mapping[str, Mapping[str, Any]],
                 by_epoch: bool = True,
                 period: Optional[int] = None) -> None:
        if not schedules:
            raise ValueError('HyperParameterScheduleHook needs at least one schedule')
        self.schedules = {name: _parse(name, fields, period) for name, fields in schedules.items()}
        self.by_epoch, self.period = by_epoch, period
        # A space is what reads and sets attributes; its bounds are those of the values.
        self.space = SearchSpace({name: _bounds(schedule) for name, schedule in self.schedules.items()})
        self._told: Optional[list[int]] = None

    def values_at(self, epoch: int, iteration: int) -> Values:
        """The values of a position, both counted from 0."""
        position = self._position(epoch, iteration)
        return {name: schedule.value_at(position) for name, schedule in self.schedules.items()}

    def before_train(self, runner) -> None:
        """Look for the attributes and for a search that would set them, too, and try all values."""
        self._told = None
        with config_errors():
            self._check(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Set the values of this batch."""
        self.steer(runner)

    def steer(self, runner) -> None:
        """Set the values of the position."""
        values = self.values_at(runner.epoch, runner.iter)
        self.space.apply(runner.model, values)
        position = self._position(runner.epoch, runner.iter)
        pairs = [schedule.pair_at(position) for schedule in self.schedules.values()]
        if pairs != self._told:
            listed = ', '.join(f'{name} {value:g}' for name, value in values.items())
            runner.logger.info(f'Hyper-parameters from epoch {runner.epoch + 1}, iteration {runner.iter + 1}: {listed}')
            self._told = pairs

    def _position(self, epoch: int, iteration: int) -> int:
        position = epoch if self.by_epoch else iteration
        return position if self.period is None else position % self.period

    def _check(self, runner) -> None:
        searched = getattr(runner.train_loop, 'space', None)
        if isinstance(searched, SearchSpace):
            both = sorted({p.target for p in searched.parameters} & {p.target for p in self.space.parameters})
            if both:
                raise ValueError(f'{", ".join(both)}: set by HyperParameterScheduleHook and searched by '
                                 f'{type(runner.train_loop).__name__}; leave it out of one of them')
        for name, schedule in self.schedules.items():
            begin, value = schedule.values[-1]
            refuse_unreached(runner, type(self).__name__, f'the value {value} of schedule {name!r}', begin,
                             self.by_epoch, changes=self.period is not None, remedy='leave this value out')
        network = runner.model.module if is_model_wrapper(runner.model) else runner.model
        before = self.space.read(network)
        check_ranks(self.space, network, runner.train_dataloader.batch_sampler.sampler, 'scheduled')
        try:
            self._try_values(network)
        finally:
            for parameter in self.space.parameters:
                owner, _, name = parameter.target.rpartition('.')
                setattr(attrgetter(owner)(network) if owner else network, name, before[parameter.name])

    def _try_values(self, network: nn.Module) -> None:
        """Set the values of every pair."""
        for position in sorted({begin for schedule in self.schedules.values() for begin, _ in schedule.values}):
            values = {name: schedule.value_at(position) for name, schedule in self.schedules.items()}
            try:
                self.space.apply(network, values)
            except (TypeError, ValueError) as error:
                raise ValueError(f'the model does not take the values of HyperParameterScheduleHook from '
                                 f'{"epoch" if self.by_epoch else "iteration"} {position} on, {values}: {error}'
                                 ) from error


def _parse(name: str, fields: Mapping[str, Any], period: Optional[int]) -> HyperParameterSchedule:
    known = list(HyperParameterSchedule.__dataclass_fields__)
    unknown, missing = sorted(set(fields) - set(known)), [key for key in known[:2] if key not in fields]
    if unknown or missing:
        raise ValueError(f'schedule {name!r} needs target and values, and may have shape and integer'
                         + (f'; missing: {missing}' if missing else '') + (f'; unknown: {unknown}' if unknown else ''))
    schedule = HyperParameterSchedule(**{**fields, 'values': _pairs(name, fields['values'])})
    odd = [value for _, value in schedule.values if schedule.integer is True and value != int(value)]
    if odd:
        raise ValueError(f'values of schedule {name!r} must be whole numbers with integer=True, got {odd[0]}')
    if schedule.shape not in SHAPES:
        raise ValueError(f'shape of schedule {name!r} must be one of {SHAPES}, got {schedule.shape!r}')
    begins = [begin for begin, _ in schedule.values]
    if begins[0] != 0 or any(one >= other for one, other in zip(begins[:-1], begins[1:])):
        raise ValueError(f'the positions of schedule {name!r} must begin at 0 and increase, got {begins}')
    if period is not None and begins[-1] >= period:
        raise ValueError(f'schedule {name!r} has a value from {begins[-1]} on and would begin anew before it, after '
                         f'period={period}')
    if len({value for _, value in schedule.values}) < 2:
        raise ValueError(f'schedule {name!r} always has the value {schedule.values[0][1]}: set it in the model config')
    return schedule


def _pairs(name: str, values: Sequence[Sequence[float]]) -> tuple[tuple[int, float], ...]:
    pairs = tuple(tuple(pair) for pair in values)
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f'values of schedule {name!r} must be pairs of a position and a value, such as [(0, 8), '
                         f'(150, 1)], got {values!r}')
    for begin, value in pairs:
        if isinstance(begin, bool) or not isinstance(begin, Integral):
            raise ValueError(f'a position of schedule {name!r} must be a whole number, got {begin!r}')
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f'a value of schedule {name!r} must be a finite number, got {value!r}')
    return pairs


def _bounds(schedule: HyperParameterSchedule) -> dict[str, Any]:
    values = [value for _, value in schedule.values]
    return dict(target=schedule.target, low=min(values), high=max(values), integer=schedule.whole)
