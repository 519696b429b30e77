"""Schedules that keep a value for a while, change it, and may begin anew."""

import math
from typing import Any, List, Optional

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.momentum_scheduler import MomentumSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from mmreid.registry import PARAM_SCHEDULERS


class _HoldScheduler(_ParamScheduler):
    """Base of schedules whose value is a function of the initial one and of the number of steps alone.

    Unlike mmengine's, which multiply the present value, they set it: of several for the same parameter the last one
    wins, and a learning rate that something has changed is the scheduled one again after the next step.

    Args:
        optimizer: Optimizer or wrapper.
        *args: Of the mixin that names the parameter.
        hold (int): Steps (epochs, or iterations with ``by_epoch=False``) for which the initial value is kept.
        period (int, optional): The schedule begins anew after so many steps. Defaults to None: it runs once.
        **kwargs: ``begin``, ``end``, ``last_step``, ``by_epoch`` and ``verbose`` as in mmengine.
    """

    #: Arguments that count steps, which :meth:`build_iter_from_epoch` converts, besides those of mmengine.
    COUNTS = ('hold', 'period')

    def __init__(self, optimizer, *args: Any, hold: int, period: Optional[int] = None, **kwargs: Any) -> None:
        if hold < 0:
            raise ValueError(f'hold of {type(self).__name__} must not be negative, got {hold}')
        if period is not None and period <= hold:
            raise ValueError(f'{type(self).__name__} keeps the initial value for hold={hold} steps and would begin '
                             f'anew after period={period}, before anything changes: set a period above hold')
        self.hold, self.period = hold, period
        super().__init__(optimizer, *args, **kwargs)

    @classmethod
    def build_iter_from_epoch(cls, *args: Any, epoch_length: Optional[int] = None, by_epoch: bool = True,
                              begin: int = 0, end: Optional[int] = None, **kwargs: Any) -> '_HoldScheduler':
        """The schedule given in epochs, in iterations: what ``convert_to_iter_based=True`` asks for.

        Raises:
            ValueError: If ``by_epoch`` is False or ``epoch_length`` is not positive.
        """
        if not by_epoch:
            raise ValueError(f'{cls.__name__}: convert_to_iter_based=True converts epochs, and by_epoch=False counts '
                             'iterations already: leave one of them out')
        if epoch_length is None or epoch_length < 1:
            raise ValueError(f'epoch_length must be a positive number of iterations, got {epoch_length}')
        counts = {key: kwargs.pop(key) for key in cls.COUNTS if kwargs.get(key) is not None}
        if end is not None:
            counts['end'] = end
        return cls(*args, begin=begin * epoch_length, by_epoch=False,
                   **{key: value * epoch_length for key, value in counts.items()}, **kwargs)

    def value_at(self, base: float, position: int) -> float:
        """The value where ``position`` steps of the period are done, from the initial one."""
        raise NotImplementedError

    def _get_value(self) -> List[float]:
        position = self.last_step if self.period is None else self.last_step % self.period
        return [self.value_at(base, position) for base in self.base_values]


@PARAM_SCHEDULERS.register_module()
class HoldThenDecayLR(LRSchedulerMixin, _HoldScheduler):
    r"""A constant learning rate that then falls exponentially, over and over.

    Eq. 10 of *Progressive Learning Algorithm for Efficient Person Re-Identification*, after `In Defense of the Triplet
    Loss <https://arxiv.org/abs/1703.07737>`_, with :math:`e` the epochs that are done since the period began:

    .. math:: \alpha(e) = \begin{cases} \alpha_0 & e \le e_0 \\
              \alpha_0 \cdot 0.001^{(e - e_0) / (e_1 - e_0)} & e_0 \le e \le e_1 \end{cases}

    and :math:`0.001 \alpha_0` beyond :math:`e_1`, where the equation ends. With ``period=300`` the last epoch of a
    period, the 300th, has :math:`\alpha(299)`, and the next one :math:`\alpha_0` again.

    The learning rate is a function of the number of steps, which is part of a checkpoint: a training that is resumed
    goes on as if it had not stopped. Steps that a loop does not take (exploration) do not count.

    Args:
        optimizer: Optimizer or wrapper; the runner gives it.
        hold (int): :math:`e_0`.
        decay_end (int): :math:`e_1`.
        factor (float): What is left of the learning rate at :math:`e_1`. Defaults to 0.001.
        period (int, optional): The schedule begins anew after so many epochs. Defaults to None: it runs once.
        **kwargs: ``begin``, ``end``, ``last_step``, ``by_epoch`` and ``verbose`` as in mmengine; ``by_epoch=False``
            counts iterations, and ``convert_to_iter_based=True`` in a config turns epochs into iterations.

    Raises:
        ValueError: If ``hold`` is negative, ``decay_end`` or ``period`` not above it, or ``factor`` not positive.

    Example:
        >>> param_scheduler = [dict(type='HoldThenDecayLR', hold=150, decay_end=300, period=300),
        ...                    dict(type='HoldThenSwitchMomentum', hold=150, value=0.5, period=300)]
    """

    COUNTS = ('hold', 'decay_end', 'period')

    def __init__(self, optimizer, hold: int, decay_end: int, factor: float = 0.001, period: Optional[int] = None,
                 **kwargs: Any) -> None:
        if decay_end <= hold:
            raise ValueError(f'decay_end (e1) of HoldThenDecayLR must be above hold (e0), got {decay_end} and {hold}')
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f'factor of HoldThenDecayLR must be positive and finite, got {factor}')
        self.decay_end, self.factor = decay_end, factor
        super().__init__(optimizer, hold=hold, period=period, **kwargs)

    def value_at(self, base: float, position: int) -> float:
        """Eq. 10."""
        done = min(max(position - self.hold, 0) / (self.decay_end - self.hold), 1.0)
        return base * self.factor**done


@PARAM_SCHEDULERS.register_module()
class HoldThenSwitchMomentum(MomentumSchedulerMixin, _HoldScheduler):
    r"""The momentum of SGD, or :math:`\beta_1` of Adam, kept for a while and then another, over and over.

    Section 4.2 of *Progressive Learning Algorithm for Efficient Person Re-Identification*: :math:`\beta_1 = 0.9`
    within 150 epochs and 0.5 for the remaining ones. Epochs 1 to ``hold`` of a period have the initial value, of the
    optimizer; counted from 0, the switch is at epoch ``hold``.

    Args:
        optimizer: Optimizer or wrapper; the runner gives it.
        hold (int): Epochs with the initial value.
        value (float): The value of the other epochs, at least 0 and below 1.
        period (int, optional): The schedule begins anew after so many epochs. Defaults to None: it runs once.
        **kwargs: As of :class:`HoldThenDecayLR`.

    Raises:
        ValueError: If ``hold`` is negative, ``period`` not above it, ``value`` no momentum, or the optimizer has none.
    """

    def __init__(self, optimizer, hold: int, value: float, period: Optional[int] = None, **kwargs: Any) -> None:
        if not 0 <= value < 1:
            raise ValueError(f'value of HoldThenSwitchMomentum must be at least 0 and below 1, got {value}')
        self.value = value
        super().__init__(optimizer, hold=hold, period=period, **kwargs)

    def value_at(self, base: float, position: int) -> float:
        """The initial momentum for ``hold`` steps, then the other one."""
        return base if position < self.hold else self.value
