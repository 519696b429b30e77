"""Which attributes of a model are searched, and between which bounds."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Optional, Union

import numpy as np
from mmengine.model import is_model_wrapper
from torch import nn

#: A number for each parameter, by name.
Values = dict[str, Union[int, float]]


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter that is searched.

    Attributes:
        name (str): Its name in logs and records.
        target (str): Where its value belongs: path of attributes from the model, ``'heads.tri.loss_module.k'``.
        low (float): Smallest value, included.
        high (float): Largest value, included.
        integer (bool): Whether only whole numbers are values. Defaults to False.

    Raises:
        TypeError: If ``target`` is no text, or a bound no number (of an integer parameter: no whole number).
        ValueError: If a bound is not finite, or ``low`` is not below ``high``.
    """

    name: str
    target: str
    low: float
    high: float
    integer: bool = False

    def __post_init__(self) -> None:
        where = f'the parameter {self.name!r} of the search space'
        if not isinstance(self.target, str) or not all(self.target.split('.')):
            raise TypeError(f"{where} needs as target a path of attributes such as 'heads.tri.loss_module.k', got "
                            f'{self.target!r}')
        if not isinstance(self.integer, bool):
            raise TypeError(f'integer of {where} must be True or False, got {self.integer!r}')
        for key in ('low', 'high'):
            bound = getattr(self, key)
            if not _is_number(bound):
                raise TypeError(f'{key} of {where} must be a number, got {bound!r}')
            if not math.isfinite(bound):
                raise ValueError(f'{key} of {where} must be finite, got {bound}')
            if self.integer and bound != int(bound):
                raise TypeError(f'{key} of {where}, which is an integer, must be a whole number, got {bound}')
            object.__setattr__(self, key, int(bound) if self.integer else float(bound))
        if self.low >= self.high:
            raise ValueError(f'low of {where} must be below high, got {self.low} and {self.high}'
                             + ('' if self.low > self.high else '; a fixed value is set in the config of the model'))

    @property
    def width(self) -> float:
        """Distance of the bounds."""
        return self.high - self.low

    @property
    def count(self) -> float:
        """Number of values, infinite where it is not an integer."""
        return self.width + 1 if self.integer else math.inf

    def check(self, value: Any) -> Union[int, float]:
        """The value as a plain ``int`` or ``float``.

        Raises:
            TypeError: If it is no number, or no whole one where it must be.
            ValueError: If it is not between the bounds.
        """
        kind = 'a whole number' if self.integer else 'a number'
        wrong = not _is_number(value) or (self.integer and math.isfinite(value) and value != int(value))
        if wrong:
            raise TypeError(f'{self.name} must be {kind} from {self.low} to {self.high}, got {value!r}')
        if not self.low <= value <= self.high:  # also NaN
            raise ValueError(f'{self.name} must be {kind} from {self.low} to {self.high}, got {value}')
        return int(value) if self.integer else float(value)


class SearchSpace:
    """Hyper-parameters of a model that are searched, each with its bounds.

    A point of the space is a number for each parameter (:data:`Values`), or, for a search, a vector of the unit cube in
    the order of the parameters: 0 is the lower bound and 1 the upper one. Any number that is an attribute of the model
    or of its parts can be searched. Points of the unit cube always lie at whole numbers of integer parameters, so that
    a search never looks between two of them.

    Parameters have one order, whatever that of the dict is (a config that was written to a file has it sorted): real
    numbers before integers, each by name. For those of PLA this is the order of the paper, lambda, m, k, p.

    Args:
        parameters (dict[str, dict | None]): By name ``dict(target=..., low=..., high=..., integer=False)``, see
            :class:`Parameter`. None leaves a parameter out, as a config does with one of its base.

    Raises:
        TypeError: If ``parameters`` is not such a dict.
        ValueError: If it is empty, bounds are reversed, or two parameters have the same target.

    Example:
        >>> space = SearchSpace(dict(
        ...     margin=dict(target='heads.tri.loss_module.margin', low=-.1, high=.3),
        ...     k=dict(target='heads.tri.loss_module.k', low=1, high=8, integer=True)))
        >>> space.normalise(dict(margin=.1, k=8)).round(3).tolist()
        [0.5, 1.0]
        >>> space.denormalise([0., .4])
        {'margin': -0.1, 'k': 4}
    """

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        if not isinstance(parameters, Mapping):
            raise TypeError('a search space is a dict of parameters: k=dict(target=..., low=1, high=8, integer=True), '
                            f'got {type(parameters).__name__}')
        parameters = {name: settings for name, settings in parameters.items() if settings is not None}
        if not parameters:
            raise ValueError('a search space needs at least one parameter, got none')
        self.parameters = tuple(sorted((_parameter(name, settings) for name, settings in parameters.items()),
                                       key=lambda parameter: (parameter.integer, parameter.name)))
        targets = [parameter.target for parameter in self.parameters]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ValueError(f'each target may be searched by one parameter, and {", ".join(twice)} by several of '
                             f'{", ".join(self.names)}')

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters in their order."""
        return tuple(parameter.name for parameter in self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        inner = ', '.join(f'{p.name} in {"" if p.integer else "["}{p.low}{".." if p.integer else ", "}{p.high}'
                          f'{"" if p.integer else "]"}' for p in self.parameters)
        return f'SearchSpace({inner})'

    def settings(self) -> dict[str, dict[str, Any]]:
        """What it was made from, with plain numbers: fit for JSON, and equal for equal spaces."""
        return {p.name: dict(target=p.target, low=p.low, high=p.high, integer=p.integer) for p in self.parameters}

    # ---- values and points -------------------------------------------------------------------------------------------

    def check(self, values: Mapping[str, Any]) -> Values:
        """The values as plain numbers in the order of the parameters.

        Raises:
            TypeError: If they are no dict, or one is no number, or no whole one of an integer parameter.
            ValueError: If one is missing, is not of this space, or lies outside its bounds.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f'values must be a dict of {", ".join(self.names)}, got {type(values).__name__}')
        if set(values) != set(self.names):
            missing = [name for name in self.names if name not in values]
            more = [str(name) for name in values if name not in self.names]
            raise ValueError(f'values must have {", ".join(self.names)}'
                             + (f'; missing: {", ".join(missing)}' if missing else '')
                             + (f'; not of this space: {", ".join(more)}' if more else ''))
        return {parameter.name: parameter.check(values[parameter.name]) for parameter in self.parameters}

    def normalise(self, values: Mapping[str, Any]) -> np.ndarray:
        """Point of the unit cube, float64 ``(D,)``, of values; these are checked."""
        values = self.check(values)
        return np.array([(values[p.name] - p.low) / p.width for p in self.parameters])

    def denormalise(self, point: Sequence[float]) -> Values:
        """Values of a point ``(D,)`` of the unit cube, with integer parameters at the nearest whole number.

        Raises:
            ValueError: If it does not have one number from 0 to 1 for each parameter.
        """
        point = np.asarray(point, dtype=np.float64)
        if point.shape != (len(self), ) or not ((point >= 0) & (point <= 1)).all():
            raise ValueError(f'a point must have {len(self)} numbers from 0 to 1, one for each of '
                             f'{", ".join(self.names)}, got {point.tolist()}')
        places = self.snap(point[None])[0]
        found = {}
        for parameter, place in zip(self.parameters, places.tolist()):
            value = parameter.low + place * parameter.width
            # The sum may round past the bound.
            found[parameter.name] = round(value) if parameter.integer else min(max(value, parameter.low),
                                                                               parameter.high)
        return found

    def snap(self, points: np.ndarray) -> np.ndarray:
        """Points ``(M, D)`` with integer parameters moved to the nearest whole number."""
        points = np.array(points, dtype=np.float64)
        for column, parameter in enumerate(self.parameters):
            if parameter.integer:
                points[:, column] = np.round(points[:, column] * parameter.width) / parameter.width
        return points

    def sample_points(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw points ``(count, D)`` evenly; each whole number of an integer parameter is as likely as the others."""
        points = rng.random((count, len(self)))
        for column, parameter in enumerate(self.parameters):
            if parameter.integer:  # not by rounding, which would give both ends half of their share
                levels = np.minimum(np.floor(points[:, column] * parameter.count), parameter.width)
                points[:, column] = levels / parameter.width
        return points

    def sample(self, rng: np.random.Generator) -> Values:
        """Draw values evenly between the bounds."""
        return self.denormalise(self.sample_points(rng, 1)[0])

    def all_points(self, limit: int) -> Optional[np.ndarray]:
        """All points ``(M, D)`` where there are at most ``limit``, else None."""
        if math.prod(parameter.count for parameter in self.parameters) > limit:
            return None
        levels = [[level / p.width for level in range(int(p.count))] for p in self.parameters]
        return np.array(list(itertools.product(*levels)))

    # ---- the model ---------------------------------------------------------------------------------------------------

    def read(self, model: nn.Module) -> Values:
        """The values that a model has now, which may lie outside of the bounds.

        Raises:
            AttributeError: If the model has no such attribute; the message names those that are there.
            TypeError: If it is no number.
        """
        found = {}
        for parameter in self.parameters:
            owner, name = _owner(model, parameter)
            value = getattr(owner, name)
            if not _is_number(value):
                raise TypeError(f'{parameter.target}, the target of {parameter.name}, must be a number, and is '
                                f'{type(value).__name__}' + _numbers_of(owner))
            found[parameter.name] = int(value) if isinstance(value, Integral) else float(value)
        return found

    def apply(self, model: nn.Module, values: Mapping[str, Any]) -> None:
        """Set the attributes of a model (of the one inside, where it is wrapped for distributed training).

        Either all are set or, where one is refused, none.

        Raises:
            AttributeError: If the model has no such attribute; the message names those that are there.
            TypeError: If a value or what it replaces is no number.
            ValueError: If values are missing, unknown, outside their bounds, or refused by the model.
        """
        values = self.check(values)
        before = self._attributes(model)
        try:
            for (owner, name, _), value in zip(before, values.values()):
                setattr(owner, name, value)
        except Exception:
            _put_back(before)
            raise

    def check_bounds(self, model: nn.Module) -> None:
        """Make sure that a model takes all lower and all upper bounds; its values are afterwards what they were.

        Raises:
            AttributeError: If the model has no such attribute, see :meth:`read`.
            TypeError: If what is there is no number.
            ValueError: If the model refuses a bound.
        """
        before = self._attributes(model)
        for bound in ('low', 'high'):
            for parameter, (owner, name, _) in zip(self.parameters, before):
                value = getattr(parameter, bound)
                try:
                    setattr(owner, name, value)
                except Exception as error:
                    _put_back(before)
                    whole = '' if parameter.integer else '; where only whole numbers will do, set integer=True'
                    raise ValueError(f'the model does not take {parameter.name}={value}, which is {bound} of its range '
                                     f'in the search space: {error}. Set another {bound}{whole}') from error
            _put_back(before)

    def _attributes(self, model: nn.Module) -> list[tuple[Any, str, Any]]:
        """Owner, name and value of each target, in the order of the parameters; errors are those of :meth:`read`."""
        self.read(model)
        places = [_owner(model, parameter) for parameter in self.parameters]
        return [(owner, name, getattr(owner, name)) for owner, name in places]


def _put_back(attributes: Iterable[tuple[Any, str, Any]]) -> None:
    for owner, name, value in attributes:
        setattr(owner, name, value)


def _parameter(name: Any, settings: Any) -> Parameter:
    keys = ('target', 'low', 'high', 'integer')
    example = "k=dict(target='heads.tri.loss_module.k', low=1, high=8, integer=True)"
    if not isinstance(name, str) or not isinstance(settings, Mapping):
        raise TypeError(f'a parameter of a search space is a name with a dict, as in {example}; got {name!r}: '
                        f'{settings!r}')
    missing, unknown = [key for key in keys[:3] if key not in settings], [key for key in settings if key not in keys]
    if missing or unknown:
        raise ValueError(f'the parameter {name!r} of the search space must be like {example}'
                         + (f'; missing: {", ".join(missing)}' if missing else '')
                         + (f'; unknown: {", ".join(map(str, unknown))}' if unknown else ''))
    return Parameter(name, **settings)


def _owner(model: nn.Module, parameter: Parameter) -> tuple[Any, str]:
    """The object that has the target of a parameter, and the name of its attribute."""
    owner: Any = model.module if is_model_wrapper(model) else model
    *path, last = parameter.target.split('.')
    for depth, name in enumerate([*path, last]):
        if not hasattr(owner, name):
            known = sorted(dict(owner.named_children())) if isinstance(owner, nn.Module) else []
            place = '.'.join(path[:depth]) or 'the model'
            raise AttributeError(
                f'{parameter.target}, the target of {parameter.name}, is not there: {place} '
                f'({type(owner).__name__}) has no {name!r}' + (f'; its parts: {", ".join(known)}' if known else '')
                + _numbers_of(owner))
        if depth < len(path):
            owner = getattr(owner, name)
    return owner, last


def _numbers_of(owner: Any) -> str:
    """Names of the attributes that could be searched, for messages."""
    return _listed(name for name in dir(owner) if not name.startswith('_')
                   and not isinstance(getattr(type(owner), name, None), (int, float))
                   and _is_number(_quietly(owner, name)))


def _quietly(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except Exception:  # a property that cannot be computed now is not what is looked for
        return None


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    return f'; its numbers: {", ".join(names)}' if names else ''


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
