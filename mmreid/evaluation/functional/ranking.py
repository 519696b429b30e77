"""CMC, mAP and mINP of one ranking, with bounded memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np
import torch

from .feature_distances import FeatureDistances, as_float, named_rows
from .match_ranks import Labels, Ranks, match_ranks
from .protocols import Protocol, get_protocol

#: Bytes of the block of distances that is held at a time, on the CPU and on a CUDA device (where sorting takes more).
BLOCK_BYTES = {'cpu': 96 * 2**20, 'cuda': 128 * 2**20}

Array = Union[np.ndarray, torch.Tensor]
Results = dict[str, Union[float, int]]


def evaluate_ranking(query_feats: Array,
                     gallery_feats: Array,
                     query_pids: Array,
                     gallery_pids: Array,
                     query_camids: Array,
                     gallery_camids: Array,
                     protocol: Union[str, Protocol] = 'market1501',
                     metric: str = 'euclidean',
                     topk: Sequence[int] = (1, 5, 10, 20),
                     *,
                     chunk_size: Optional[int] = None,
                     num_threads: Optional[int] = None) -> Results:
    r"""Rank the gallery for each query by feature distance and score the ranking.

    With :math:`r_1 < \ldots < r_P` the ranks of the :math:`P` true matches of a query among what the protocol keeps:

    .. math::
        \text{AP} = \frac{1}{P} \sum_{i=1}^{P} \frac{i}{r_i}, \qquad
        \text{INP} = \frac{P}{r_P}, \qquad
        \text{rank-}k = [r_1 \le k]

    averaged over the queries that have a match; the others are left out and counted. At equal distance non-matches
    rank before matches, so a permutation of the rows changes nothing and a network that maps everything to one point
    gets no credit. Which values are compared: see :class:`FeatureDistances`. Distances are computed in the type of the
    features (half precision and integers are widened).

    Args:
        query_feats (np.ndarray | torch.Tensor): Features of shape ``(Q, C)``, on the CPU or a CUDA device.
        gallery_feats (np.ndarray | torch.Tensor): Features of shape ``(G, C)``.
        query_pids (np.ndarray | torch.Tensor): Identities, integers of shape ``(Q,)``.
        gallery_pids (np.ndarray | torch.Tensor): Identities, integers of shape ``(G,)``; -1 is junk.
        query_camids (np.ndarray | torch.Tensor): Cameras, integers of shape ``(Q,)``.
        gallery_camids (np.ndarray | torch.Tensor): Cameras, integers of shape ``(G,)``.
        protocol (str | Protocol): A name in :data:`PROTOCOLS`. Defaults to ``'market1501'``.
        metric (str): ``'euclidean'``, ``'sqeuclidean'`` or ``'cosine'``. Defaults to ``'euclidean'``.
        topk (Sequence[int]): Ranks of the CMC curve to report; may exceed the gallery. Defaults to (1, 5, 10, 20).
        chunk_size (int, optional): Queries in a block of distances. By default about 100 MB of distances.
        num_threads (int, optional): Threads that count ranks on the CPU. By default as many as pay off.

    Returns:
        dict: ``mAP``, ``mINP`` and ``rank-k`` for each k, in percent, and the integers ``num_queries`` and
        ``num_valid_queries``.

    Raises:
        ValueError: If an input does not fit (the message says what was expected and what came), a feature is not
            finite, or no query has a match.

    Example:
        >>> import numpy as np
        >>> query, gallery = np.array([[0.]]), np.array([[1.], [2.], [3.]])
        >>> evaluate_ranking(query, gallery, [7], [5, 7, 7], [1], [1, 2, 1], topk=(1, 2))
        {'mAP': 50.0, 'mINP': 50.0, 'rank-1': 0.0, 'rank-2': 100.0, 'num_queries': 1, 'num_valid_queries': 1}
    """
    blocks = FeatureDistances(query_feats, gallery_feats, metric)
    labels = _labels(query_pids, gallery_pids, query_camids, gallery_camids)
    _check_lengths(labels, len(blocks.query), len(blocks.gallery), 'the features')
    row_bytes, device = len(blocks.gallery) * blocks.itemsize, 'cuda' if blocks.on_cuda else 'cpu'
    chunk_size = _chunk_size(chunk_size, len(blocks.query), row_bytes, device)
    return _evaluate(blocks, labels, protocol, topk, chunk_size, num_threads)


def evaluate_distances(distances: Union[Array, Callable[[int, int], Array]],
                       query_pids: Array,
                       gallery_pids: Array,
                       query_camids: Array,
                       gallery_camids: Array,
                       protocol: Union[str, Protocol] = 'market1501',
                       topk: Sequence[int] = (1, 5, 10, 20),
                       *,
                       chunk_size: Optional[int] = None,
                       num_threads: Optional[int] = None) -> Results:
    """Score a ranking whose distances are at hand, for example after re-ranking.

    Args:
        distances (np.ndarray | torch.Tensor | Callable): Distances of shape ``(Q, G)`` (a memory map will do; it is
            read block by block and not changed), or a function that returns those of the queries ``start`` to
            ``stop`` when called with ``(start, stop)``. Infinity is allowed, NaN is not.

    The other arguments, the result and the errors are those of :func:`evaluate_ranking`.
    """
    labels = _labels(query_pids, gallery_pids, query_camids, gallery_camids)
    _check_lengths(labels, len(labels.query_pids), len(labels.gallery_pids), 'the identities')
    shape = (len(labels.query_pids), len(labels.gallery_pids))
    if not callable(distances):
        if not isinstance(distances, torch.Tensor):
            distances = np.asanyarray(distances)
        if tuple(distances.shape) != shape:
            raise ValueError(f'distances must have shape {shape} (queries, gallery), got {tuple(distances.shape)}')

    def blocks(start: int, stop: int) -> Array:
        block = distances(start, stop) if callable(distances) else distances[start:stop]
        if tuple(block.shape) != (stop - start, shape[1]):
            raise ValueError(f'distances({start}, {stop}) must have shape {(stop - start, shape[1])}, '
                             f'got {tuple(block.shape)}')
        block = as_float(block)
        block = block.clone() if isinstance(block, torch.Tensor) else np.array(block, order='C')
        lowest = block.amin(1).cpu().numpy() if isinstance(block, torch.Tensor) else block.min(axis=1)
        if np.isnan(lowest).any():
            raise ValueError(f'distances has NaN in {named_rows(np.isnan(lowest))} (counted from row {start})')
        return block

    device = 'cuda' if isinstance(distances, torch.Tensor) and distances.is_cuda else 'cpu'
    chunk_size = _chunk_size(chunk_size, shape[0], shape[1] * 8, device)
    return _evaluate(blocks, labels, protocol, topk, chunk_size, num_threads)


def _evaluate(blocks: Callable[[int, int], Array], labels: Labels, protocol: Union[str, Protocol],
              topk: Sequence[int], chunk_size: int, num_threads: Optional[int]) -> Results:
    protocol, topk = get_protocol(protocol), _check_topk(topk)
    if num_threads is not None and num_threads < 1:
        raise ValueError(f'num_threads must be None or at least 1, got {num_threads}')
    return _score(match_ranks(blocks, labels, protocol, chunk_size, num_threads), protocol, topk)


def _score(ranks: Ranks, protocol: Protocol, topk: Sequence[int]) -> Results:
    """Average precision and the rest from the ranks of the matches."""
    counts, ranks = ranks
    valid = counts[counts > 0]
    if not len(valid):
        raise ValueError(f'none of the {len(counts)} queries has a match in the gallery under the protocol '
                         f'"{protocol.name}", which {protocol.summary}: check the identities and cameras of both')
    ends = np.cumsum(valid)
    starts = ends - valid
    found = np.arange(1, len(ranks) + 1) - np.repeat(starts, valid)
    first, last = ranks[starts], ranks[ends - 1]
    results = {'mAP': _percent(np.add.reduceat(found / ranks, starts) / valid), 'mINP': _percent(valid / last)}
    results.update({f'rank-{k}': _percent(first <= k) for k in topk})
    return dict(results, num_queries=len(counts), num_valid_queries=len(valid))


def _percent(values: np.ndarray) -> float:
    return 100 * float(np.mean(values))


def _chunk_size(chunk_size: Optional[int], num_queries: int, row_bytes: int, device: str) -> int:
    """The given number of rows, or as many as fit, in blocks of nearly equal size."""
    if chunk_size is None:
        rows = max(1, BLOCK_BYTES[device] // row_bytes)
        return math.ceil(num_queries / math.ceil(num_queries / rows))
    if chunk_size < 1:
        raise ValueError(f'chunk_size must be None or at least 1, got {chunk_size}')
    return chunk_size


def _check_topk(topk: Any) -> tuple[int, ...]:
    topk = (topk, ) if isinstance(topk, int) else tuple(topk)
    if not topk or any(isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1 for k in topk):
        raise ValueError(f'topk must be one or more integers of at least 1, got {topk}')
    return topk


def _labels(query_pids: Any, gallery_pids: Any, query_camids: Any, gallery_camids: Any) -> Labels:
    return Labels(
        _integers(query_pids, 'query_pids'), _integers(gallery_pids, 'gallery_pids'),
        _integers(query_camids, 'query_camids'), _integers(gallery_camids, 'gallery_camids'))


def _integers(values: Any, name: str) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in 'iu':
        raise ValueError(f'{name} must be integers of shape (rows,) with at least one row, '
                         f'got {values.dtype} of shape {values.shape}')
    # Narrow integers compare faster; 64 bits are kept where they are needed.
    narrow = np.iinfo(np.int32)
    fits = narrow.min <= values.min() and values.max() <= narrow.max
    return values.astype(np.int32 if fits else np.int64)


def _check_lengths(labels: Labels, num_queries: int, num_gallery: int, source: str) -> None:
    for split, expected in (('query', num_queries), ('gallery', num_gallery)):
        for kind in ('pids', 'camids'):
            actual = len(getattr(labels, f'{split}_{kind}'))
            if actual != expected:
                raise ValueError(f'{split}_{kind} must have {expected} rows as {source}, got {actual}')
