"""Ranks of the true matches, the only thing that mAP, mINP and CMC need from a ranking.

The rank of a match is one more than the number of images before it, and images are counted with comparisons: no row is
ever sorted with its indices. Two kernels do the same, one for numpy arrays and one for torch tensors.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
import torch

from .labels import Labels
from .protocols import Protocol

#: With more matches than this, sorting the row once beats comparing it with each match (measured on rows of 20,000).
SORT_FROM = 100
#: A thread pays off only if each comparison is long: one thread for so many gallery images.
GALLERY_PER_THREAD = 16384

Array = Union[np.ndarray, torch.Tensor]
Ranks = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Ranking:
    """What is ranked under a protocol: ``absent`` marks the gallery images ``(G,)`` that take part for no query,
    ``queries`` the queries ``(Q,)`` that take part."""

    protocol: Protocol
    absent: np.ndarray
    queries: np.ndarray


def match_ranks(blocks: Callable[[int, int], Array], labels: Labels, rankings: Sequence[Ranking], chunk_size: int,
                num_threads: Optional[int] = None,
                each_block: Callable[[Array, int], None] = lambda block, start: None) -> list[Ranks]:
    """Rank every true match among the gallery images that its query keeps, for several rankings in one pass.

    Args:
        blocks (Callable): ``blocks(start, stop)`` returns the distances of these queries to the gallery, of shape
            ``(stop - start, G)``.
        labels (Labels): Numpy labels.
        rankings (Sequence[Ranking]): What is dropped.
        chunk_size (int): Number of queries in a block.
        num_threads (int, optional): Threads that count in a block on the CPU. By default as many as pay off.
        each_block (Callable): Called with every block and the number of its first query.

    Returns:
        list[tuple[np.ndarray, np.ndarray]]: For each ranking the number of matches of each query, shape ``(Q,)``, and
        the ranks from 1 of all matches, ascending within a query and concatenated over the queries.
    """
    threads = num_threads or default_num_threads(len(labels.gallery_pids))
    device_labels, results = None, [[] for _ in rankings]
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(labels.query_pids), chunk_size):
            stop = min(start + chunk_size, len(labels.query_pids))
            block = blocks(start, stop)
            each_block(block, start)
            if isinstance(block, torch.Tensor):
                device_labels = device_labels or labels.to_torch(block.device)
                for ranking, found in zip(rankings, results):
                    found.append(torch_block_ranks(block, device_labels.rows(start, stop), ranking, start))
                continue
            cuts = np.linspace(start, stop, threads + 1).astype(int).tolist()
            pieces = [(a, b) for a, b in zip(cuts[:-1], cuts[1:]) if a < b]
            for ranking, found in zip(rankings, results):
                jobs = [(block[a - start:b - start], labels.rows(a, b), ranking, a) for a, b in pieces]
                found.extend(pool.map(numpy_block_ranks, *zip(*jobs)) if threads > 1 else
                             (numpy_block_ranks(*job) for job in jobs))
    return [(np.concatenate([counts for counts, _ in found]), np.concatenate([ranks for _, ranks in found]))
            for found in results]


def default_num_threads(gallery_size: int) -> int:
    """Number of threads that pay off for rows of this length on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, min(cores, 8, gallery_size // GALLERY_PER_THREAD))


def numpy_block_ranks(block: np.ndarray, labels: Labels, ranking: Ranking, start: int = 0) -> Ranks:
    """Counts and ranks of the matches of the queries of a block that starts at query ``start``."""
    ranks, before, kept = [], np.empty(block.shape[1], bool), np.empty(block.shape[1], block.dtype)
    none = np.empty(0, dtype=np.int64)
    active = ranking.queries[start:start + len(block)]
    for row, pid, camid, takes_part in zip(block, labels.query_pids, labels.query_camids, active):
        same_pid = labels.gallery_pids == pid
        dropped = ranking.protocol.excludes(same_pid, labels.gallery_camids == camid) | ranking.absent
        matches = np.sort(row[np.flatnonzero(same_pid & ~dropped)]) if takes_part else none
        if not len(matches):
            ranks.append(none)
            continue
        np.copyto(kept, row)
        np.copyto(kept, np.inf, where=dropped)
        if len(matches) < SORT_FROM:
            reached = [np.count_nonzero(np.less_equal(kept, match, out=before)) for match in matches]
        else:
            kept.sort()
            reached = np.searchsorted(kept, matches, side='right')
        # What is dropped counts only for matches at infinity, which are beyond everything that is kept.
        reached = np.minimum(np.asarray(reached, dtype=np.int64), row.size - np.count_nonzero(dropped))
        non_matches = reached - np.searchsorted(matches, matches, side='right')
        ranks.append(non_matches + np.arange(1, len(matches) + 1))
    return np.array([len(row) for row in ranks], dtype=np.int64), np.concatenate(ranks)


def torch_block_ranks(block: torch.Tensor, labels: Labels, ranking: Ranking, start: int = 0) -> Ranks:
    """The same on the device of the block, all its queries at once."""
    same_pid = labels.query_pids[:, None] == labels.gallery_pids
    same_camid = labels.query_camids[:, None] == labels.gallery_camids
    absent, active = (torch.from_numpy(mask).to(block.device)
                      for mask in (ranking.absent, ranking.queries[start:start + len(block)]))
    dropped = ranking.protocol.excludes(same_pid, same_camid) | absent
    matched = same_pid & ~dropped & active[:, None]
    counts = matched.sum(1, keepdim=True)
    slots = torch.arange(int(counts.max()), device=block.device)
    filled = slots < counts
    # The matches of each query, ascending, in a table as wide as the most that one query has.
    matches = block.new_full(filled.shape, torch.inf)
    matches[filled] = block[matched]
    matches = matches.sort(1).values
    ascending = block.masked_fill(dropped, torch.inf).sort(1).values
    kept = block.shape[1] - dropped.sum(1, keepdim=True)
    reached = torch.searchsorted(ascending, matches, right=True).minimum(kept)
    non_matches = reached - torch.searchsorted(matches, matches, right=True).minimum(counts)
    return _to_numpy(counts[:, 0]), _to_numpy((non_matches + slots + 1)[filled])


def _to_numpy(tensor: Any) -> np.ndarray:
    return tensor.cpu().numpy()
