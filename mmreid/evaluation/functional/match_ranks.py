"""Ranks of the true matches, the only thing that mAP, mINP and CMC need from a ranking.

The rank of a match is one more than the number of images before it, and images are counted with comparisons: no row is
ever sorted with its indices. Two kernels do the same, one for numpy arrays and one for torch tensors.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
import torch

from .protocols import Protocol

#: With more matches than this, sorting the row once beats comparing it with each match (measured on rows of 20,000).
SORT_FROM = 100
#: A thread pays off only if each comparison is long: one thread for so many gallery images.
GALLERY_PER_THREAD = 16384

Array = Union[np.ndarray, torch.Tensor]
Ranks = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Labels:
    """Identities and cameras of queries and gallery, integer arrays or tensors of one kind."""

    query_pids: Array
    gallery_pids: Array
    query_camids: Array
    gallery_camids: Array

    def rows(self, start: int, stop: int) -> 'Labels':
        """The same with the queries ``start`` to ``stop`` only."""
        return Labels(self.query_pids[start:stop], self.gallery_pids, self.query_camids[start:stop],
                      self.gallery_camids)

    def to_torch(self, device: torch.device) -> 'Labels':
        """The same as tensors on a device."""
        arrays = (self.query_pids, self.gallery_pids, self.query_camids, self.gallery_camids)
        return Labels(*(torch.from_numpy(array).to(device) for array in arrays))


def match_ranks(blocks: Callable[[int, int], Array], labels: Labels, protocol: Protocol, chunk_size: int,
                num_threads: Optional[int] = None) -> Ranks:
    """Rank every true match among the gallery images that its query keeps.

    Args:
        blocks (Callable): ``blocks(start, stop)`` returns the distances of these queries to the gallery, of shape
            ``(stop - start, G)``. They are overwritten.
        labels (Labels): Numpy labels.
        protocol (Protocol): What is dropped.
        chunk_size (int): Number of queries in a block.
        num_threads (int, optional): Threads that count in a block on the CPU. By default as many as pay off.

    Returns:
        tuple[np.ndarray, np.ndarray]: Number of matches of each query, shape ``(Q,)``, and the ranks from 1 of all
        matches, ascending within a query and concatenated over the queries.
    """
    junk = protocol.junk(labels.gallery_pids)
    threads = num_threads or default_num_threads(len(junk))
    device_labels, results = None, []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(labels.query_pids), chunk_size):
            stop = min(start + chunk_size, len(labels.query_pids))
            block = blocks(start, stop)
            if isinstance(block, torch.Tensor):
                device_labels = device_labels or labels.to_torch(block.device)
                results.append(torch_block_ranks(block, device_labels.rows(start, stop), protocol))
                continue
            cuts = np.linspace(0, stop - start, threads + 1).astype(int).tolist()
            jobs = [(block[a:b], labels.rows(start + a, start + b), junk, protocol)
                    for a, b in zip(cuts[:-1], cuts[1:]) if a < b]
            results.extend(pool.map(numpy_block_ranks, *zip(*jobs)) if threads > 1 else
                           (numpy_block_ranks(*job) for job in jobs))
    return np.concatenate([counts for counts, _ in results]), np.concatenate([ranks for _, ranks in results])


def default_num_threads(gallery_size: int) -> int:
    """Number of threads that pay off for rows of this length on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, min(cores, 8, gallery_size // GALLERY_PER_THREAD))


def numpy_block_ranks(block: np.ndarray, labels: Labels, junk: np.ndarray, protocol: Protocol) -> Ranks:
    """Counts and ranks of the matches of the queries of one block (overwritten), one query after another."""
    ranks, before = [], np.empty(block.shape[1], bool)
    for row, pid, camid in zip(block, labels.query_pids, labels.query_camids):
        same_pid = labels.gallery_pids == pid
        dropped = protocol.excludes(same_pid, labels.gallery_camids == camid) | junk
        matches = np.sort(row[np.flatnonzero(same_pid & ~dropped)])
        np.copyto(row, np.inf, where=dropped)
        if len(matches) < SORT_FROM:
            reached = [np.count_nonzero(np.less_equal(row, match, out=before)) for match in matches]
        else:
            row.sort()
            reached = np.searchsorted(row, matches, side='right')
        # What is dropped counts only for matches at infinity, which are beyond everything that is kept.
        reached = np.minimum(np.asarray(reached, dtype=np.int64), row.size - np.count_nonzero(dropped))
        non_matches = reached - np.searchsorted(matches, matches, side='right')
        ranks.append(non_matches + np.arange(1, len(matches) + 1))
    return np.array([len(row) for row in ranks], dtype=np.int64), np.concatenate(ranks)


def torch_block_ranks(block: torch.Tensor, labels: Labels, protocol: Protocol) -> Ranks:
    """The same on the device of the block, all its queries at once."""
    same_pid = labels.query_pids[:, None] == labels.gallery_pids
    same_camid = labels.query_camids[:, None] == labels.gallery_camids
    dropped = protocol.excludes(same_pid, same_camid) | protocol.junk(labels.gallery_pids)
    matched = same_pid & ~dropped
    counts = matched.sum(1, keepdim=True)
    slots = torch.arange(int(counts.max()), device=block.device)
    filled = slots < counts
    # The matches of each query, ascending, in a table as wide as the most that one query has.
    matches = block.new_full(filled.shape, torch.inf)
    matches[filled] = block[matched]
    matches = matches.sort(1).values
    ascending = block.masked_fill_(dropped, torch.inf).sort(1).values
    kept = block.shape[1] - dropped.sum(1, keepdim=True)
    reached = torch.searchsorted(ascending, matches, right=True).minimum(kept)
    non_matches = reached - torch.searchsorted(matches, matches, right=True).minimum(counts)
    return _to_numpy(counts[:, 0]), _to_numpy((non_matches + slots + 1)[filled])


def _to_numpy(tensor: Any) -> np.ndarray:
    return tensor.cpu().numpy()
