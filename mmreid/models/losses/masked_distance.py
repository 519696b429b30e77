"""Distances of anchors to everything, each anchor looking at channels of its own."""

import torch
import torch.nn.functional as F

from mmreid.models.utils import at_least_float32
from mmreid.utils.distance import MIN_NORM, check_metric


def masked_distance(feats: torch.Tensor, mask: torch.Tensor, metric: str = 'euclidean') -> torch.Tensor:
    r"""Distance of :math:`m_a * x_a` to :math:`m_a * x_b` for every anchor :math:`a` and every row :math:`b`.

    Products of ``(N, C)`` matrices only, so no ``(N, N, C)`` is ever held; with a mask of ones these are the distances
    of :func:`mmreid.utils.pairwise_distance`. Computed in float32 at least, also under autocast.

    Args:
        feats (torch.Tensor): Embeddings ``(N, C)``.
        mask (torch.Tensor): Factors ``(N, C)``, a row for each anchor, such as a dropout mask; no gradient flows to it.
        metric (str): ``'euclidean'``, ``'sqeuclidean'`` or ``'cosine'``. Defaults to ``'euclidean'``.

    Returns:
        torch.Tensor: Distances ``(N, N)``, the anchors in rows; not symmetric.

    Raises:
        ValueError: If the metric is unknown or the shapes differ.
    """
    check_metric(metric)
    if feats.dim() != 2 or feats.shape != mask.shape:
        raise ValueError(f'feats and mask must have one shape (N, C), got {tuple(feats.shape)} and '
                         f'{tuple(mask.shape)}')
    with torch.autocast(feats.device.type, enabled=False):
        feats = at_least_float32(feats)
        weight = mask.to(feats.dtype).square()
        return _cosine(feats, weight) if metric == 'cosine' else _euclidean(feats, weight, metric)


def _euclidean(feats: torch.Tensor, weight: torch.Tensor, metric: str) -> torch.Tensor:
    # Distances do not depend on the origin; in the middle of the batch less is lost to cancellation.
    feats = feats - feats.detach().mean(0)
    squares, weighted = feats.square(), weight * feats
    squared = (weighted * feats).sum(1, keepdim=True) + weight @ squares.t() - 2 * weighted @ feats.t()
    squared = squared.clamp(min=0)
    if metric == 'sqeuclidean':
        return squared
    zero = squared == 0  # the root has an infinite slope there
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _cosine(feats: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    feats = F.normalize(feats, dim=1, eps=MIN_NORM)
    squares, weighted = feats.square(), weight * feats
    lengths = (weighted * feats).sum(1, keepdim=True) * (weight @ squares.t())
    return (1 - weighted @ feats.t() / lengths.clamp(min=MIN_NORM**2).sqrt()).clamp(min=0)
