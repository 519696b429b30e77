"""Evaluation protocols: which gallery images a query is not compared with, and what is drawn.

A protocol is a row of :data:`PROTOCOLS`. To add one, add a row::

    PROTOCOLS['doors'] = Protocol('doors', 'drops images from the same camera that show somebody else',
                                  excludes=lambda same_pid, same_camid: ~same_pid & same_camid)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Draws:
    """Single-gallery-shot evaluation: in each trial every identity shows one image of its own, drawn at random.

    Args:
        num_draws (int): Number of trials. Defaults to 10.
        num_pids (int, optional): Identities with queries in a trial, drawn anew for each one; where the test set has
            no more than these, all take part. Defaults to None, all.
        seed (int): Trial ``t`` draws from ``np.random.default_rng([seed, t])``. Defaults to 0.
        splits (tuple[tuple[int, ...], ...], optional): Identities of each trial, for published splits; they take the
            place of ``num_draws`` and ``num_pids``. Defaults to None.

    Raises:
        ValueError: If a number is below 1 or a split is empty.
    """

    num_draws: int = 10
    num_pids: Optional[int] = None
    seed: int = 0
    splits: Optional[tuple[tuple[int, ...], ...]] = None

    def __post_init__(self) -> None:
        for name, lowest in (('num_draws', 1), ('num_pids', 1), ('seed', 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < lowest):
                raise ValueError(f'{name} must be an integer of at least {lowest}, got {value!r}')
        if self.splits is not None and (not self.splits or not all(len(split) for split in self.splits)):
            raise ValueError('splits must hold one or more trials of one or more identities each')

    def describe(self) -> str:
        """What is drawn, in one line."""
        if self.splits is not None:
            people = f'{len(self.splits)} given splits'
        else:
            people = f'{self.num_draws} trials of ' + ('all identities' if self.num_pids is None else
                                                       f'at most {self.num_pids} identities with queries')
        return f'rank-k among one drawn gallery image of each identity, in {people}, seed {self.seed}'

    @property
    def num_trials(self) -> int:
        """Number of trials."""
        return self.num_draws if self.splits is None else len(self.splits)


@dataclass(frozen=True)
class Protocol:
    """One evaluation protocol.

    Args:
        name (str): Name by which configs and result tables call it.
        summary (str): What is dropped, in one line.
        excludes (Callable): Maps the boolean masks ``same_pid`` and ``same_camid`` (whether a gallery image shows the
            query's identity, whether it comes from the query's camera) to the mask of the gallery images that are
            dropped for this query. It gets numpy arrays or torch tensors and uses ``&``, ``|``, ``~`` only.
        junk_pids (tuple[int, ...]): Identities that are dropped for every query. Defaults to ``(-1, )``.
        needs_cameras (bool): Whether it looks at cameras. Defaults to True.
        draws (Draws, optional): Ranks are counted in trials in which each identity shows one image. Defaults to None:
            all images stay in the ranking.
    """

    name: str
    summary: str
    excludes: Callable[[Any, Any], Any]
    junk_pids: tuple[int, ...] = (-1, )
    needs_cameras: bool = True
    draws: Optional[Draws] = None

    def describe(self) -> str:
        """What is dropped and what is drawn, in one line."""
        return self.summary if self.draws is None else f'{self.summary}; {self.draws.describe()}'

    def junk(self, gallery_pids: Any) -> Any:
        """Mask of the gallery images that are dropped for every query (numpy array or torch tensor as given)."""
        mask = gallery_pids != gallery_pids
        for pid in self.junk_pids:
            mask |= gallery_pids == pid
        return mask


def _own_identity_in_camera(same_pid: Any, same_camid: Any) -> Any:
    return same_pid & same_camid


def _whole_camera(same_pid: Any, same_camid: Any) -> Any:
    return same_camid | (same_pid & False)


def _nothing(same_pid: Any, same_camid: Any) -> Any:
    return (same_pid | same_camid) & False


_DROPS_OWN = 'drops junk (-1) and images of the same identity from the same camera'
_DROPS_CAMERA = 'drops junk (-1) and every image from the same camera'

#: All protocols by name. The distractors of Market-1501 (pid 0) match no query and stay as non-matches.
PROTOCOLS: dict[str, Protocol] = {
    row.name: row
    for row in (
        Protocol('market1501', _DROPS_OWN, _own_identity_in_camera),
        Protocol('nd', _DROPS_CAMERA, _whole_camera),
        Protocol('cuhk03', _DROPS_CAMERA, _whole_camera, draws=Draws()),
        Protocol('cuhk03-np', _DROPS_OWN, _own_identity_in_camera),
        Protocol('viper', _DROPS_CAMERA, _whole_camera, draws=Draws(num_pids=316)),
        Protocol('prid2011', _DROPS_CAMERA, _whole_camera, draws=Draws(num_pids=100)),
        Protocol('cuhk01', _DROPS_CAMERA, _whole_camera, draws=Draws(num_pids=486)),
        Protocol('cuhk01-100', _DROPS_CAMERA, _whole_camera, draws=Draws(num_pids=100)),
        Protocol('all', 'drops nothing', _nothing, junk_pids=(), needs_cameras=False),
    )
}


def get_protocol(protocol: Union[str, Protocol, Mapping]) -> Protocol:
    """Look up a protocol by name; a :class:`Protocol` is returned as it is.

    A dict names a protocol that draws and changes its draws, for configs: ``dict(name='cuhk03', num_draws=100)`` or
    ``dict(name='viper', splits=[[3, 8], [5, 13]])``.

    Raises:
        ValueError: If no protocol has this name (the message lists the names), or the settings do not fit.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, Mapping):
        return _with_draws(dict(protocol))
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        near = get_close_matches(str(protocol), PROTOCOLS, n=1)
        raise ValueError(f'protocol must be one of {", ".join(PROTOCOLS)}, got {protocol!r}'
                         f'{f"; did you mean {near[0]!r}?" if near else ""}')
    return PROTOCOLS[protocol]


def _with_draws(settings: dict[str, Any]) -> Protocol:
    protocol = get_protocol(settings.pop('name', None))
    known = {field.name for field in fields(Draws)}
    if not settings.keys() <= known or (settings and protocol.draws is None):
        raise ValueError(f'a protocol with draws may have the settings {", ".join(sorted(known))}, '
                         f'got {", ".join(sorted(settings))} for {protocol.name}')
    if settings.get('splits') is not None:
        settings['splits'] = tuple(tuple(split) for split in settings['splits'])
    return replace(protocol, draws=replace(protocol.draws, **settings)) if settings else protocol


def unique_protocols(protocols: Union[str, Mapping, Sequence[Union[str, Protocol, Mapping]]]) -> list[Protocol]:
    """Look up protocols by name.

    Raises:
        ValueError: If there are none, one is unknown, or one is named twice.
    """
    single = isinstance(protocols, (str, Protocol, Mapping))
    rows = [get_protocol(row) for row in ([protocols] if single else protocols)]
    names = [row.name for row in rows]
    if not names or len(set(names)) != len(names):
        raise ValueError(f'protocols must name one or more different protocols, got {names}')
    return rows
