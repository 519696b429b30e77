"""What an evaluation leaves out, and why, from the labels alone."""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from .labels import Labels
from .protocols import PROTOCOLS, Protocol


@dataclass(frozen=True)
class Exclusions:
    """Counts of what a protocol drops.

    Args:
        junk_images (int): Gallery images dropped for every query.
        own_pairs (float): Mean number, over the queries, of dropped images of the query's identity (from its camera).
        camera_pairs (float): Mean number of dropped images of other identities from the query's camera.
        absent_queries (int): Queries whose identity is not in the gallery.
        camera_queries (int): Queries whose matches are all dropped because of their camera.
        junk_queries (int): Queries whose identity means junk.
        undrawn_queries (int): Queries whose identity is in no trial of a protocol that draws; they count in none of the
            other numbers.
    """

    junk_images: int
    own_pairs: float
    camera_pairs: float
    absent_queries: int
    camera_queries: int
    junk_queries: int = 0
    undrawn_queries: int = 0

    def text(self) -> str:
        """One line on what was dropped from the rankings and which queries could not be scored."""
        dropped = [f'{self.junk_images:,} junk images of the gallery' if self.junk_images else '',
                   f'{self.own_pairs:,.1f} images a query of its identity and camera' if self.own_pairs else '',
                   f'{self.camera_pairs:,.1f} images a query of others from its camera' if self.camera_pairs else '']
        lost = [f'{self.junk_queries:,} that are junk' if self.junk_queries else '',
                f'{self.absent_queries:,} whose identity is not in the gallery' if self.absent_queries else '',
                f'{self.camera_queries:,} whose matches all share their camera' if self.camera_queries else '',
                f'{self.undrawn_queries:,} whose identity is in no trial' if self.undrawn_queries else '']
        return (f'dropped: {", ".join(filter(None, dropped)) or "nothing"}; '
                f'queries that could not be scored: {", ".join(filter(None, lost)) or "none"}')


def count_exclusions(labels: Labels, protocol: Protocol, drawn: Optional[np.ndarray] = None) -> Exclusions:
    """Count what a protocol drops; memory grows with Q + G.

    Args:
        labels (Labels): Numpy labels.
        protocol (Protocol): Row of the protocol table.
        drawn (np.ndarray, optional): Mask ``(Q,)`` of the queries that take part in a trial. Defaults to None: all.
    """
    everybody = len(labels.query_pids)
    if drawn is not None:
        labels = Labels(labels.query_pids[drawn], labels.gallery_pids, labels.query_camids[drawn],
                        labels.gallery_camids)
    junk = protocol.junk(labels.gallery_pids)
    pids, camids = labels.gallery_pids[~junk], labels.gallery_camids[~junk]
    same_pid = _occurrences(pids, labels.query_pids)
    same_camid = _occurrences(camids, labels.query_camids)
    both = _occurrences(*_pair_numbers(pids, camids, labels.query_pids, labels.query_camids))
    junk_queries = protocol.junk(labels.query_pids)
    own = both * _drops(protocol, True, True) + (same_pid - both) * _drops(protocol, True, False)
    others = ((same_camid - both) * _drops(protocol, False, True) +
              (len(pids) - same_pid - same_camid + both) * _drops(protocol, False, False))
    return Exclusions(
        junk_images=int(junk.sum()), own_pairs=float(own.mean()), camera_pairs=float(others.mean()),
        absent_queries=int(((same_pid == 0) & ~junk_queries).sum()), junk_queries=int(junk_queries.sum()),
        camera_queries=int(((same_pid > 0) & (own == same_pid)).sum()),
        undrawn_queries=everybody - len(labels.query_pids))


def no_match_message(labels: Labels, protocol: Protocol, drawn: Optional[np.ndarray] = None) -> str:
    """Why no query can be scored, and which protocols would score some."""
    found = count_exclusions(labels, protocol, drawn)
    reasons = [f'{found.undrawn_queries:,} are in no trial' if found.undrawn_queries else '',
               f'{found.junk_queries:,} are junk' if found.junk_queries else '',
               f'the identity of {found.absent_queries:,} is not in the gallery' if found.absent_queries else '',
               f'every positive of {found.camera_queries:,} shares the query\'s camera' if found.camera_queries else '']
    fitting = [row.name for row in PROTOCOLS.values() if row.draws is None and _scores_any(labels, row)]
    advice = f'protocols that would fit: {", ".join(fitting)}' if fitting else \
        'no protocol fits: check that identities are numbered alike in query and gallery'
    return (f'none of the {len(labels.query_pids):,} queries has a match in the gallery under the protocol '
            f'"{protocol.name}", which {protocol.describe()}: {"; ".join(filter(None, reasons))}. '
            f'{advice[0].upper()}{advice[1:]}')


def _scores_any(labels: Labels, protocol: Protocol) -> bool:
    found = count_exclusions(labels, protocol)
    return found.absent_queries + found.junk_queries + found.camera_queries < len(labels.query_pids)


def _drops(protocol: Protocol, same_pid: bool, same_camid: bool) -> bool:
    return bool(protocol.excludes(np.array([same_pid]), np.array([same_camid]))[0])


def _occurrences(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How often each wanted value occurs."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, wanted, 'right') - np.searchsorted(ordered, wanted, 'left')


def _pair_numbers(pids: np.ndarray, camids: np.ndarray, query_pids: np.ndarray,
                  query_camids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One number for each (identity, camera), equal where both are."""
    cameras, camera = np.unique(np.concatenate([camids, query_camids]), return_inverse=True)
    people, person = np.unique(np.concatenate([pids, query_pids]), return_inverse=True)
    number = person.astype(np.int64) * len(cameras) + camera
    return number[:len(pids)], number[len(pids):]
