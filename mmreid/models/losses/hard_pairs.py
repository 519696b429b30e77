"""Which pairs of a batch triplet losses look at."""

import math
from typing import NamedTuple

import torch

from mmreid.utils import pairwise_distance

from .masked_distance import masked_distance


def anchor_distance(feats: torch.Tensor, mask: torch.Tensor | None, metric: str) -> torch.Tensor:
    """Distances ``(N, N)`` of every anchor, in rows, to every image; see :func:`masked_distance` for the mask."""
    return pairwise_distance(feats, feats, metric) if mask is None else masked_distance(feats, mask, metric)


class Hardness(NamedTuple):
    """What :func:`batch_hard` finds for every anchor, each ``(N,)``.

    Attributes:
        farthest (torch.Tensor): Distance to the positive, -inf where there is none.
        nearest (torch.Tensor): Distance to the negative, inf where there is none.
        valid (torch.Tensor): Whether the row is an anchor: it has a positive other than itself and a negative.
            Distances of other rows mean nothing.
        num_positives (torch.Tensor): How many positives it has, itself left out.
        num_negatives (torch.Tensor): How many negatives it has.
    """

    farthest: torch.Tensor
    nearest: torch.Tensor
    valid: torch.Tensor
    num_positives: torch.Tensor
    num_negatives: torch.Tensor


def pair_masks(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Boolean ``(N, N)`` masks of positive pairs (without self) and of negative pairs; rows of -1 have none."""
    labelled = labels != -1
    both = labelled[:, None] & labelled[None, :]
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return both & same & ~itself, both & ~same


def valid_anchors(labels: torch.Tensor) -> torch.Tensor:
    """Boolean ``(N,)`` mask of the rows that have a positive and a negative in the batch."""
    positive, negative = pair_masks(labels)
    return positive.any(1) & negative.any(1)


def batch_hard(dist: torch.Tensor,
               labels: torch.Tensor,
               k: int = 1,
               p: int = 1,
               include_self: bool = False) -> Hardness:
    """Distance of every anchor to its k-th farthest positive and to its p-th nearest negative.

    A rank beyond what an anchor has stands for the last there is: its nearest positive, its farthest negative.

    Args:
        dist (torch.Tensor): Distances ``(N, N)``.
        labels (torch.Tensor): Labels ``(N,)``; rows of -1 are neither anchor, positive nor negative.
        k (int): Rank of the positive, 1 is the farthest. Defaults to 1.
        p (int): Rank of the negative, 1 is the nearest. Defaults to 1.
        include_self (bool): Whether an anchor is among its own positives, at distance 0. Defaults to False.

    Returns:
        Hardness: Both distances, which rows are anchors, and how many pairs they have. Gradient flows to the chosen
        pairs alone; pairs at exactly the chosen distance share it equally, so that no order of equal values matters.
    """
    positive, negative = pair_masks(labels)
    num_positives, num_negatives = positive.sum(1), negative.sum(1)
    farthest = _ranked(dist, positive, num_positives, k, largest=True)
    nearest = _ranked(dist, negative, num_negatives, p, largest=False)
    if include_self:  # at distance 0 exactly, whatever is computed: the last of the positives
        farthest = farthest.masked_fill(num_positives < k, 0)
    return Hardness(farthest, nearest, (num_positives > 0) & (num_negatives > 0), num_positives, num_negatives)


def _ranked(dist: torch.Tensor, among: torch.Tensor, number: torch.Tensor, rank: int, largest: bool) -> torch.Tensor:
    """The distance of this rank in every row, or the last there is; an infinity where there is none."""
    last = -math.inf if largest else math.inf
    if rank == 1:
        kept = dist.masked_fill(~among, last)
        return kept.amax(1) if largest else kept.amin(1)
    with torch.no_grad():
        kept = dist.masked_fill(~among, last)
        ordered = kept.topk(min(rank, kept.shape[1]), largest=largest).values
        limit = ordered.gather(1, number.clamp(1, ordered.shape[1])[:, None] - 1)
        share = (kept == limit).to(dist.dtype)
        share /= share.sum(1, keepdim=True)
        # What the weighted mean of equal numbers may miss by rounding; nothing is at an infinity.
        exact = limit[:, 0] - (dist * share).sum(1)
    return (dist * share).sum(1) + exact
