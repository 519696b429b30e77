"""Average precision, inverse negative penalty and CMC from the ranks of the matches."""

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from .exclusions import Exclusions
from .match_ranks import Ranks

#: Length of the CMC curve that is kept for reports.
CURVE_LENGTH = 50


@dataclass
class ProtocolResult:
    """Result under one protocol.

    Args:
        metrics (dict): ``mAP``, ``mINP``, ``rank-k`` and so on, in percent, in the order of printing.
        curve (np.ndarray): CMC at ranks 1 to 50, in percent, float64.
        num_queries (int): All queries.
        num_valid_queries (int): Those with a match, which the means are over.
        num_draws (int, optional): Trials, where the protocol draws.
        exclusions (Exclusions, optional): What was left out.
    """

    metrics: dict[str, float]
    curve: np.ndarray
    num_queries: int
    num_valid_queries: int
    num_draws: Optional[int] = None
    exclusions: Optional[Exclusions] = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Metrics and counts in one flat dict, as :func:`evaluate_ranking` returns them."""
        draws = {} if self.num_draws is None else dict(num_draws=self.num_draws)
        return dict(self.metrics, **draws, num_queries=self.num_queries, num_valid_queries=self.num_valid_queries)


def precision_scores(ranks: Ranks, trapezoid: bool) -> dict[str, float]:
    r"""Mean AP and INP over the queries that have a match, in percent.

    With :math:`r_1 < \ldots < r_P` the ranks of the matches, :math:`\text{AP} = \frac{1}{P} \sum_i i / r_i` and
    :math:`\text{INP} = P / r_P`. The trapezoid of the original MATLAB evaluation of Market-1501 averages the precision
    at a match with the one just before it: :math:`\frac{1}{P} \sum_i \frac{1}{2} \left( \frac{i - 1}{r_i - 1} +
    \frac{i}{r_i} \right)`, whose first fraction is 1 where :math:`r_i = 1`.

    Args:
        ranks (tuple): Number of matches of each query and the ranks of all matches (see :func:`match_ranks`); at least
            one query must have a match.
        trapezoid (bool): Whether to add ``mAP-trapezoid``.
    """
    counts, ranks = ranks
    valid = counts[counts > 0]
    ends = np.cumsum(valid)
    starts = ends - valid
    found = np.arange(1, len(ranks) + 1) - np.repeat(starts, valid)
    precision = found / ranks
    scores = {'mAP': percent(np.add.reduceat(precision, starts) / valid)}
    if trapezoid:
        before = np.where(ranks == 1, 1., (found - 1) / np.maximum(ranks - 1, 1))
        scores['mAP-trapezoid'] = percent(np.add.reduceat((before + precision) / 2, starts) / valid)
    return {**scores, 'mINP': percent(valid / ranks[ends - 1])}


def first_ranks(ranks: Ranks) -> np.ndarray:
    """Rank of the first match of each query that has one."""
    counts, ranks = ranks
    valid = counts[counts > 0]
    return ranks[np.cumsum(valid) - valid]


def cmc(ranks: np.ndarray, topk: Any) -> np.ndarray:
    """Share, in percent, of the given ranks that are at most k, for each k."""
    return np.array([percent(ranks <= k) for k in topk])


def percent(values: np.ndarray) -> float:
    """Mean in percent."""
    return 100 * float(np.mean(values))
