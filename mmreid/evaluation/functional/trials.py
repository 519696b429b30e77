"""Trials of a protocol that draws identities and gallery images (single-gallery-shot)."""

from dataclasses import dataclass

import numpy as np
import torch

from .labels import Labels
from .protocols import Draws, Protocol


@dataclass(frozen=True)
class Trial:
    """What takes part in one trial.

    ``keys`` are random numbers ``(G,)``: of each identity the kept image with the smallest key is drawn. ``queries``
    and ``gallery`` are masks ``(Q,)`` and ``(G,)`` of what belongs to the identities of the trial.
    """

    keys: np.ndarray
    queries: np.ndarray
    gallery: np.ndarray


def make_trials(draws: Draws, labels: Labels) -> list[Trial]:
    """Draw the identities and the keys of every trial; see :class:`Draws`.

    Gallery identities that no query shows take part in every trial. Keys are drawn in the order of the gallery rows.

    Raises:
        ValueError: If a given split names identities that no query has.
    """
    known = np.unique(labels.query_pids)
    trials = []
    for number in range(draws.num_trials):
        rng = np.random.default_rng([draws.seed, number])
        chosen = known
        if draws.splits is not None:
            chosen = np.unique(np.asarray(draws.splits[number]))
            unknown = np.setdiff1d(chosen, known)
            if len(unknown):
                raise ValueError(f'split {number} names identities that no query has: {unknown[:10].tolist()}'
                                 f'{" ..." if len(unknown) > 10 else ""}')
        elif draws.num_pids is not None and draws.num_pids < len(known):
            chosen = rng.choice(known, draws.num_pids, replace=False)
        keys = rng.random(len(labels.gallery_pids))
        others = ~np.isin(labels.gallery_pids, known)
        trials.append(Trial(keys, np.isin(labels.query_pids, chosen), np.isin(labels.gallery_pids, chosen) | others))
    return trials


class SingleShotRanks:
    """Ranks of the drawn match of each query among the drawn images of all identities, in one trial.

    For a query it is 1 plus the number of other identities whose drawn image is not farther than the drawn match.

    Args:
        trial (Trial): What takes part.
        protocol (Protocol): What is dropped before an image is drawn.
        labels (Labels): Numpy labels of all queries.
    """

    def __init__(self, trial: Trial, protocol: Protocol, labels: Labels) -> None:
        self._queries = trial.queries
        candidates = trial.gallery & ~protocol.junk(labels.gallery_pids)
        # By identity and key: the first kept row of each identity is the drawn one.
        order = np.lexsort((trial.keys, labels.gallery_pids))
        self._order = order[candidates[order]]
        self._gallery = labels
        self._protocol = protocol
        self._drawn: dict[int, tuple] = {}

    def _tables(self, camid: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Identities and drawn rows for queries of a camera: of other people, and of the query's own identity."""
        if camid not in self._drawn:
            same_camid = self._gallery.gallery_camids == camid
            tables = []
            for own in (False, True):
                dropped = self._protocol.excludes(np.full_like(same_camid, own), same_camid)
                rows = self._order[~dropped[self._order]]
                pids, first = np.unique(self._gallery.gallery_pids[rows], return_index=True)
                tables += [torch.from_numpy(pids).to(device), torch.from_numpy(rows[first]).to(device)]
            self._drawn[camid] = tuple(tables)
        return self._drawn[camid]

    def __call__(self, block: torch.Tensor, labels: Labels, start: int) -> np.ndarray:
        """Ranks of the queries of a block ``(B, G)`` that starts at query ``start``; 0: not valid in this trial."""
        ranks = np.zeros(len(block), dtype=np.int64)
        active = self._queries[start:start + len(block)]
        camids = labels.query_camids[:len(block)]
        for camid in np.unique(camids[active]).tolist():
            rows = np.flatnonzero(active & (camids == camid))
            ranks[rows] = self._camera_ranks(block, torch.from_numpy(rows).to(block.device), labels.query_pids[rows],
                                             camid)
        return ranks

    def _camera_ranks(self, block: torch.Tensor, rows: torch.Tensor, pids: np.ndarray, camid: int) -> np.ndarray:
        other_pids, other_rows, own_pids, own_rows = self._tables(camid, block.device)
        pids = torch.from_numpy(pids).to(block.device)
        if not len(own_pids):
            return np.zeros(len(pids), dtype=np.int64)
        place = torch.searchsorted(own_pids, pids).clamp(max=len(own_pids) - 1)
        valid = own_pids[place] == pids
        matches = block[rows, own_rows[place]][:, None]
        reached = (block[rows[:, None], other_rows] <= matches) & (other_pids != pids[:, None])
        return ((1 + reached.sum(1)) * valid).cpu().numpy()


def same_identities(trials: list[Trial]) -> bool:
    """Whether all trials have the same identities, so that only the drawn images differ."""
    return bool(trials) and all((trial.queries == trials[0].queries).all() for trial in trials)
