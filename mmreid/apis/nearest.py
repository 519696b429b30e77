"""The nearest gallery images of each query, whatever ranks them."""

import numpy as np
import torch

from mmreid.evaluation import RetrievalData
from mmreid.evaluation.functional.feature_distances import FeatureDistances
from mmreid.utils.distance import MIN_NORM

#: Bytes of distances that are held at a time; more queries a block read a large gallery less often.
BLOCK_BYTES = 2**28


def nearest_images(data: RetrievalData, topk: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest gallery images of each query; where distances are equal, the earlier row of the gallery.

    The ranking is that of the evaluation (:class:`FeatureDistances`, or what a post-processor has put in the place of
    the features' distances), block by block. The distances of the features that are returned are computed anew in
    float64, so that an image is at distance 0 from itself.

    Args:
        data (RetrievalData): Post-processed features; ``gallery.sample_idx`` are the rows that are returned.
        topk (int): Length of the lists; at most the size of the gallery is returned.

    Returns:
        tuple[np.ndarray, np.ndarray]: ``sample_idx`` of the gallery, int64, and distances, float64, both ``(Q, topk)``,
        ascending.

    Raises:
        ValueError: If ``topk`` is not positive, features do not fit or are not finite.
    """
    if topk < 1:
        raise ValueError(f'topk must be at least 1, got {topk}')
    query, gallery = data.query.feats, data.gallery.feats
    topk = min(topk, len(gallery))
    blocks = FeatureDistances(query, gallery, data.metric) if data.distances is None else data.distances
    step = max(1, BLOCK_BYTES // (len(gallery) * query.element_size()))
    indices, distances = [], []
    for start in range(0, len(query), step):
        block = torch.as_tensor(blocks(start, min(start + step, len(query))))
        for number, rows in enumerate(_smallest(block, topk)):
            values = block[number, rows].double() if data.distances is not None else \
                _distances(query[start + number], gallery[rows.to(gallery.device)], data.metric)
            order = values.argsort(stable=True)
            indices.append(data.gallery.sample_idx[rows[order].cpu()])
            distances.append(values[order].cpu())
    return torch.stack(indices).numpy(), torch.stack(distances).numpy()


def _smallest(block: torch.Tensor, k: int) -> list[torch.Tensor]:
    """Columns of the k smallest values of each row, ascending; of equal values the first columns."""
    limits = block.topk(k, dim=1, largest=False, sorted=True).values[:, -1:]
    rows, columns = (block <= limits).nonzero(as_tuple=True)
    found = []
    for number, chosen in enumerate(columns.split(torch.bincount(rows, minlength=len(block)).tolist())):
        found.append(chosen[block[number, chosen].argsort(stable=True)[:k]])
    return found


def _distances(query: torch.Tensor, gallery: torch.Tensor, metric: str) -> torch.Tensor:
    """Distances of one feature ``(C,)`` to some ``(K, C)`` in float64, from differences: nothing cancels."""
    query, gallery = query.double(), gallery.double()
    if metric == 'cosine':
        query = query / query.norm().clamp(min=MIN_NORM)
        gallery = gallery / gallery.norm(dim=1, keepdim=True).clamp(min=MIN_NORM)
        similar = (gallery != 0).any(1) & (query != 0).any()  # nothing is known of a feature of zeros
        return torch.where(similar, (gallery - query).square().sum(1) / 2, torch.ones_like(gallery[:, 0]))
    squares = (gallery - query).square().sum(1)
    return squares if metric == 'sqeuclidean' else squares.sqrt()
