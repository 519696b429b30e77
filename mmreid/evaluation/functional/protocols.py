"""Evaluation protocols: which gallery images a query is not compared with.

A protocol is a row of :data:`PROTOCOLS`. To add one, add a row::

    PROTOCOLS['all'] = Protocol('all', 'nothing is dropped', excludes=lambda same_pid, same_camid: same_pid & False)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union


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
    """

    name: str
    summary: str
    excludes: Callable[[Any, Any], Any]
    junk_pids: tuple[int, ...] = (-1, )

    def junk(self, gallery_pids: Any) -> Any:
        """Mask of the gallery images that are dropped for every query (numpy array or torch tensor as given)."""
        mask = gallery_pids != gallery_pids
        for pid in self.junk_pids:
            mask |= gallery_pids == pid
        return mask


#: All protocols by name. The distractors of Market-1501 (pid 0) match no query and stay as non-matches in both.
PROTOCOLS: dict[str, Protocol] = {
    row.name: row
    for row in (
        Protocol('market1501', 'drops junk (-1) and images of the same identity from the same camera',
                 excludes=lambda same_pid, same_camid: same_pid & same_camid),
        Protocol('nd', 'drops junk (-1) and every image from the same camera',
                 excludes=lambda same_pid, same_camid: same_camid),
    )
}


def get_protocol(protocol: Union[str, Protocol]) -> Protocol:
    """Look up a protocol by name; a :class:`Protocol` is returned as it is.

    Raises:
        ValueError: If no protocol has this name; the message lists the names.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol must be one of {", ".join(PROTOCOLS)}, got {protocol!r}')
    return PROTOCOLS[protocol]
