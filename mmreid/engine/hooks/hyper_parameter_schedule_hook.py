"""Hyper-parameters of the model as functions of the position in training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmreid.engine.progressive.space import SearchSpace, Values
from mmreid.registry import HOOKS

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

    def value_at(self, position: int) -> float:
        """The value of a position."""
        number = sum(begin <= position for begin, _ in self.values) - 1
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
    uninterrupted one. They are set before every batch, and stay where they were last after training.

    Args:
        schedules (dict[str, dict]): By name, for the log, the fields of :class:`HyperParameterSchedule`.
        by_epoch (bool): Whether positions are epochs or iterations. Defaults to True.
        period (int, optional): The schedules begin anew after so many epochs (or iterations). Defaults to None: once.

    Raises:
        ValueError: If a schedule has unknown or missing fields, does not begin at 0, is out of order, never changes
            its value, or is never reached; or (when training starts) if epochs are to be counted in a training by
            iterations, or a search of hyper-parameters has the same target.
        AttributeError: When training starts, if the model has no such attribute.

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
        self._present: Optional[Values] = None

    def values_at(self, epoch: int, iteration: int) -> Values:
        """The values of a position, both counted from 0."""
        position = epoch if self.by_epoch else iteration
        if self.period is not None:
            position %= self.period
        return {name: schedule.value_at(position) for name, schedule in self.schedules.items()}

    def before_train(self, runner) -> None:
        """Look for the attributes, and for a search that would set them, too."""
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError('HyperParameterScheduleHook: by_epoch=True, and a training by iterations is in its first '
                             'epoch to the end: set by_epoch=False and count in iterations')
        searched = getattr(runner.train_loop, 'space', None)
        if isinstance(searched, SearchSpace):
            both = sorted({p.target for p in searched.parameters} & {p.target for p in self.space.parameters})
            if both:
                raise ValueError(f'{", ".join(both)}: set by HyperParameterScheduleHook and searched by '
                                 f'{type(runner.train_loop).__name__}; leave it out of one of them')
        self.space.read(runner.model)
        self._present = None

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Set the values of this batch."""
        values = self.values_at(runner.epoch, runner.iter)
        self.space.apply(runner.model, values)
        if values != self._present:
            listed = ', '.join(f'{name} {value:g}' for name, value in values.items())
            runner.logger.info(f'Hyper-parameters from epoch {runner.epoch + 1}, iteration {runner.iter + 1}: {listed}')
            self._present = values


def _parse(name: str, fields: Mapping[str, Any], period: Optional[int]) -> HyperParameterSchedule:
    known = list(HyperParameterSchedule.__dataclass_fields__)
    unknown, missing = sorted(set(fields) - set(known)), [key for key in known[:2] if key not in fields]
    if unknown or missing:
        raise ValueError(f'schedule {name!r} needs target and values, and may have shape and integer'
                         + (f'; missing: {missing}' if missing else '') + (f'; unknown: {unknown}' if unknown else ''))
    schedule = HyperParameterSchedule(**{**fields, 'values': _pairs(name, fields['values'])})
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
    return pairs


def _bounds(schedule: HyperParameterSchedule) -> dict[str, Any]:
    values = [value for _, value in schedule.values]
    return dict(target=schedule.target, low=min(values), high=max(values), integer=schedule.whole)
