"""How good labels of an anchor camera are, where the truth is known: for reports only, never for training."""

from typing import Any, Optional

import numpy as np

from .base import as_vector


def neighbour_quality(neighbours: Any, pids: Any, mask: Optional[Any] = None) -> dict[str, float]:
    """How often the image of the anchor camera that an image has its label from shows the same person.

    Images of the anchor camera, which are their own neighbours, and images without a known identity are not judged.
    Somebody who was never seen by the anchor camera cannot be labelled right, so precision is over the others.

    Args:
        neighbours (np.ndarray | torch.Tensor): Row of the neighbour of each image, int64 ``(N,)``, itself for images of
            the anchor camera; see :func:`anchor_labels`.
        pids (np.ndarray | torch.Tensor): Identities, integers ``(N,)``, negative: unknown.
        mask (np.ndarray | torch.Tensor, optional): Selected images, bool ``(N,)``. Defaults to None: all.

    Returns:
        dict[str, float]: ``label_precision``, of the judged images whose person is in the anchor camera, the share
        whose neighbour is that person; ``anchor_coverage``, the share of the judged images whose person is in the
        anchor camera (no label can be right for the rest). NaN where there is nothing to divide by.

    Raises:
        TypeError: If a type is wrong.
        ValueError: If shapes do not fit, or a neighbour is no row or not its own.

    Example:
        >>> neighbour_quality([0, 1, 0, 0, 1], pids=[7, 8, 7, 8, 9])
        {'label_precision': 0.5, 'anchor_coverage': 0.6666666666666666}
    """
    neighbours, pids = as_vector(neighbours, 'neighbours', 'iu'), as_vector(pids, 'pids', 'iu')
    mask = np.ones(len(pids), dtype=bool) if mask is None else as_vector(mask, 'mask', 'b')
    if not len(neighbours) == len(pids) == len(mask):
        raise ValueError('neighbours, pids and mask must have one entry an image, got lengths '
                         f'{[len(neighbours), len(pids), len(mask)]}')
    if len(neighbours) and not 0 <= neighbours.min() <= neighbours.max() < len(neighbours):
        raise ValueError(f'neighbours must be rows from 0 to {len(neighbours) - 1}, got {neighbours.min()} to '
                         f'{neighbours.max()}')
    if (neighbours[neighbours] != neighbours).any():
        raise ValueError('neighbours must be images of the anchor camera, which are their own neighbours')
    anchors = neighbours == np.arange(len(neighbours))
    judged = mask & ~anchors & (pids >= 0)
    covered = judged & np.isin(pids, pids[anchors])
    right = pids[neighbours] == pids
    return dict(label_precision=_share(right[covered]), anchor_coverage=_share(covered[judged]))


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float('nan')
