"""CMC, mAP and mINP of one ranking, with bounded memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np
import torch

from mmreid.utils.features import Array, as_float, as_tensor, named_rows
from mmreid.utils.memory import available_bytes

from .exclusions import count_exclusions, no_match_message
from .feature_distances import FeatureDistances
from .labels import Labels, check_lengths, make_labels
from .match_ranks import Ranking, Ranks, match_ranks
from .protocols import Protocol, get_protocol
from .scores import CURVE_LENGTH, ProtocolResult, cmc, first_ranks, precision_scores
from .trials import SingleShotRanks, Trial, make_trials, same_identities

#: Bytes of the block of distances that is held at a time, on the CPU and on a CUDA device.
BLOCK_BYTES = {'cpu': 96 * 2**20, 'cuda': 128 * 2**20}
#: Part of the available memory that a block may take where that is scarce, and the size that it takes at least.
BLOCK_SHARE, MIN_BLOCK_BYTES = 1 / 16, 8 * 2**20

Blocks = Callable[[int, int], Array]
Results = dict[str, Union[float, int]]


def evaluate_ranking(query_feats: Array,
                     gallery_feats: Array,
                     query_pids: Array,
                     gallery_pids: Array,
                     query_camids: Optional[Array],
                     gallery_camids: Optional[Array],
                     protocol: Union[str, Protocol] = 'market1501',
                     metric: str = 'euclidean',
                     topk: Sequence[int] = (1, 5, 10, 20),
                     *,
                     trapezoid: bool = False,
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

    A protocol with draws (see :class:`Draws`) counts ``rank-k`` among one drawn image of each identity, and reports
    means over its trials and their standard deviations.

    Args:
        query_feats (np.ndarray | torch.Tensor): Features of shape ``(Q, C)``, on the CPU or a CUDA device; a memory
            map will do.
        gallery_feats (np.ndarray | torch.Tensor): Features of shape ``(G, C)``.
        query_pids (np.ndarray | torch.Tensor): Identities, integers of shape ``(Q,)``.
        gallery_pids (np.ndarray | torch.Tensor): Identities, integers of shape ``(G,)``; -1 is junk.
        query_camids (np.ndarray | torch.Tensor | None): Cameras, integers of shape ``(Q,)``; None where they are
            unknown, which the protocol ``'all'`` allows.
        gallery_camids (np.ndarray | torch.Tensor | None): Cameras, integers of shape ``(G,)``.
        protocol (str | Protocol): A name in :data:`PROTOCOLS`. Defaults to ``'market1501'``.
        metric (str): ``'euclidean'``, ``'sqeuclidean'`` or ``'cosine'``. Defaults to ``'euclidean'``.
        topk (Sequence[int]): Ranks of the CMC curve to report; may exceed the gallery. Defaults to (1, 5, 10, 20).
        trapezoid (bool): Whether to add ``mAP-trapezoid``, the mean of the trapezoid AP of the original MATLAB code.
            Defaults to False.
        chunk_size (int, optional): Queries in a block of distances. By default about 100 MB of distances, less where
            memory is scarce.
        num_threads (int, optional): Threads that count ranks on the CPU. By default as many as pay off.

    Returns:
        dict: ``mAP``, ``mINP`` and ``rank-k`` for each k, in percent, and the integers ``num_queries`` and
        ``num_valid_queries``. With draws also ``mAP-std`` and so on, and ``num_draws``.

    Raises:
        ValueError: If an input does not fit (the message says what was expected and what came), a feature is not
            finite, cameras are missing where the protocol needs them, or no query has a match (the message says why).

    Example:
        >>> import numpy as np
        >>> query, gallery = np.array([[0.]]), np.array([[1.], [2.], [3.]])
        >>> evaluate_ranking(query, gallery, [7], [5, 7, 7], [1], [1, 2, 1], topk=(1, 2))
        {'mAP': 50.0, 'mINP': 50.0, 'rank-1': 0.0, 'rank-2': 100.0, 'num_queries': 1, 'num_valid_queries': 1}
    """
    blocks = FeatureDistances(query_feats, gallery_feats, metric)
    protocol = get_protocol(protocol)
    labels = make_labels(query_pids, gallery_pids, query_camids, gallery_camids, [protocol])
    check_lengths(labels, len(blocks.query), len(blocks.gallery), 'the features')
    results = evaluate_protocols(blocks, labels, [protocol], topk, trapezoid=trapezoid, device=blocks.device,
                                 chunk_size=chunk_size, num_threads=num_threads)
    return results[protocol.name].to_dict()


def evaluate_distances(distances: Union[Array, Blocks],
                       query_pids: Array,
                       gallery_pids: Array,
                       query_camids: Optional[Array],
                       gallery_camids: Optional[Array],
                       protocol: Union[str, Protocol] = 'market1501',
                       topk: Sequence[int] = (1, 5, 10, 20),
                       *,
                       trapezoid: bool = False,
                       chunk_size: Optional[int] = None,
                       num_threads: Optional[int] = None) -> Results:
    """Score a ranking whose distances are at hand, for example after re-ranking.

    Args:
        distances (np.ndarray | torch.Tensor | Callable): Distances of shape ``(Q, G)`` (a memory map will do; it is
            read block by block and not changed), or a function that returns those of the queries ``start`` to
            ``stop`` when called with ``(start, stop)``. Infinity is allowed, NaN is not.

    The other arguments, the result and the errors are those of :func:`evaluate_ranking`.
    """
    protocol = get_protocol(protocol)
    labels = make_labels(query_pids, gallery_pids, query_camids, gallery_camids, [protocol])
    check_lengths(labels, len(labels.query_pids), len(labels.gallery_pids), 'the identities')
    on_cuda = isinstance(distances, torch.Tensor) and distances.is_cuda
    device = distances.device if on_cuda else torch.device('cpu')
    results = evaluate_protocols(distance_blocks(distances, labels), labels, [protocol], topk, trapezoid=trapezoid,
                                 device=device, chunk_size=chunk_size, num_threads=num_threads)
    return results[protocol.name].to_dict()


def distance_blocks(distances: Union[Array, Blocks], labels: Labels) -> Blocks:
    """A function that returns checked blocks of given distances, of shape ``(stop - start, G)``."""
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
        lowest = block.amin(1).cpu().numpy() if isinstance(block, torch.Tensor) else block.min(axis=1)
        if np.isnan(lowest).any():
            raise ValueError(f'distances has NaN in {named_rows(np.isnan(lowest), start)}')
        return block

    return blocks


def evaluate_protocols(blocks: Blocks,
                       labels: Labels,
                       protocols: Sequence[Protocol],
                       topk: Sequence[int] = (1, 5, 10, 20),
                       *,
                       trapezoid: bool = False,
                       device: Union[str, torch.device] = 'cpu',
                       chunk_size: Optional[int] = None,
                       num_threads: Optional[int] = None) -> dict[str, ProtocolResult]:
    """Score one ranking under several protocols; each block of distances is computed once.

    Args:
        blocks (Callable): ``blocks(start, stop)`` returns distances of shape ``(stop - start, G)``, in an array or a
            tensor; it may use the same memory again.
        labels (Labels): See :func:`make_labels`.
        protocols (Sequence[Protocol]): Rows of the protocol table.
        device (str | torch.device): Where the blocks lie. Defaults to ``'cpu'``.

    The other arguments are those of :func:`evaluate_ranking`.

    Returns:
        dict[str, ProtocolResult]: By the names of the protocols.
    """
    topk = check_topk(topk)
    names = [protocol.name for protocol in protocols]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f'protocols must be one or more of different names, got {names}')
    if num_threads is not None and num_threads < 1:
        raise ValueError(f'num_threads must be None or at least 1, got {num_threads}')
    chunk_size = _chunk_size(chunk_size, len(labels.query_pids), len(labels.gallery_pids), torch.device(device),
                             getattr(blocks, 'itemsize', 4))
    tasks = [_ProtocolTask(protocol, labels) for protocol in protocols]
    rankings = [ranking for task in tasks for ranking in task.rankings]

    def draw(block: Array, start: int) -> None:
        for task in tasks:
            task.draw(block, start)

    ranks = iter(match_ranks(blocks, labels, rankings, chunk_size, num_threads, each_block=draw))
    return {task.protocol.name: task.result([next(ranks) for _ in task.rankings], topk, trapezoid) for task in tasks}


class _ProtocolTask:
    """One protocol during a pass over the blocks: what it ranks, what it draws, and the result in the end."""

    def __init__(self, protocol: Protocol, labels: Labels) -> None:
        self.protocol, self.labels = protocol, labels
        self.trials = make_trials(protocol.draws, labels) if protocol.draws else []
        self._shots = [SingleShotRanks(trial, protocol, labels) for trial in self.trials]
        self._drawn: list[list[np.ndarray]] = [[] for _ in self.trials]
        junk = protocol.junk(labels.gallery_pids)
        everybody = Trial(np.empty(0), np.ones(len(labels.query_pids), bool), np.ones(len(junk), bool))
        # Trials of the same identities share one ranking of all their images.
        shown = [everybody] if not self.trials else self.trials[:1] if same_identities(self.trials) else self.trials
        self.rankings = [Ranking(protocol, junk | ~trial.gallery, trial.queries) for trial in shown]

    @property
    def _drawn_queries(self) -> Optional[np.ndarray]:
        """Mask of the queries that take part in a trial at all; None where nothing is drawn."""
        return np.any([trial.queries for trial in self.trials], axis=0) if self.trials else None

    def draw(self, block: Array, start: int) -> None:
        """Rank the drawn matches of a block of distances."""
        if self.trials:
            tensor = as_tensor(block)
            labels = self.labels.rows(start, start + len(tensor))
            for shots, drawn in zip(self._shots, self._drawn):
                drawn.append(shots(tensor, labels, start))

    def result(self, ranks: list[Ranks], topk: Sequence[int], trapezoid: bool) -> ProtocolResult:
        """Scores from the ranks of the matches, one for each of the rankings."""
        if not any(counts.any() for counts, _ in ranks):
            raise ValueError(no_match_message(self.labels, self.protocol, self._drawn_queries))
        counts = dict(num_queries=len(self.labels.query_pids),
                      num_valid_queries=int(np.any([counts > 0 for counts, _ in ranks], axis=0).sum()),
                      exclusions=count_exclusions(self.labels, self.protocol, self._drawn_queries))
        ks = np.arange(1, CURVE_LENGTH + 1)
        if not self.trials:
            first = first_ranks(ranks[0])
            scores = precision_scores(ranks[0], trapezoid)
            scores.update({f'rank-{k}': value for k, value in zip(topk, cmc(first, topk).tolist())})
            return ProtocolResult(scores, cmc(first, ks), **counts)
        drawn = [np.concatenate(blocks) for blocks in self._drawn]
        trials = [self._trial_scores(ranks[i if len(ranks) > 1 else 0], drawn[i][drawn[i] > 0], topk, trapezoid)
                  for i in range(len(drawn)) if (drawn[i] > 0).any()]
        means = {key: float(np.mean([scores[key] for scores in trials])) for key in trials[0]}
        stds = {f'{key}-std': float(np.std([scores[key] for scores in trials])) for key in trials[0]}
        curve = np.mean([cmc(row[row > 0], ks) for row in drawn if (row > 0).any()], axis=0)
        return ProtocolResult({**means, **stds}, curve, num_draws=len(trials), **counts)

    @staticmethod
    def _trial_scores(ranks: Ranks, drawn: np.ndarray, topk: Sequence[int], trapezoid: bool) -> dict[str, float]:
        scores = precision_scores(ranks, trapezoid)
        scores.update({f'rank-{k}': value for k, value in zip(topk, cmc(drawn, topk).tolist())})
        return scores


def _chunk_size(chunk_size: Optional[int], num_queries: int, num_gallery: int, device: torch.device,
                itemsize: int) -> int:
    """The given number of rows, or as many as fit, in blocks of nearly equal size."""
    if chunk_size is None:
        scarce = max(MIN_BLOCK_BYTES, int(BLOCK_SHARE * available_bytes(device)))
        rows = max(1, min(BLOCK_BYTES[device.type], scarce) // (num_gallery * itemsize))
        return math.ceil(num_queries / math.ceil(num_queries / rows))
    if chunk_size < 1:
        raise ValueError(f'chunk_size must be None or at least 1, got {chunk_size}')
    return chunk_size


def check_topk(topk: Any) -> tuple[int, ...]:
    """The ranks to report as a tuple.

    Raises:
        ValueError: If they are not one or more integers of at least 1.
    """
    topk = (topk, ) if isinstance(topk, (int, np.integer)) else tuple(topk)
    if not topk or any(isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1 for k in topk):
        raise ValueError(f'topk must be one or more integers of at least 1, got {topk}')
    return topk
