"""The graph over images that a dictionary is smoothed by: nearest images of other cameras."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags

from mmreid.utils.features import Array

from ..cross_camera import CrossNeighbours, nearest_across

#: Weights of an edge: 1, or less where the images are less alike.
AFFINITIES = ('binary', 'heat')


def cross_camera_graph(feats: Array, camids: Any, neighbours: int = 1, affinity: str = 'binary',
                       method: str = 'a graph across cameras') -> csr_matrix:
    r"""W of Eq. 3 of Geng et al., `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_: not 0 only for images of two cameras that are nearest neighbours.

    Image i has an edge to each of its k nearest images in every other camera. The paper's graph is "nearest
    neighbours" of two cameras and has no word on direction or values; here :math:`W_{ij} = W_{ji}` is the larger of
    both directions, 1 (``'binary'``) or :math:`\exp(-\lVert y_i - y_j \rVert^2 / t)` with t the mean square distance
    of the neighbours (``'heat'``), which a factor on the features does not change.

    Args:
        feats (np.ndarray | torch.Tensor): Features ``(N, C)``.
        camids (np.ndarray | torch.Tensor): Cameras, integers ``(N,)``.
        neighbours (int): k. Defaults to 1.
        affinity (str): ``'binary'`` or ``'heat'``. Defaults to ``'binary'``.
        method (str): Who asks, for the messages.

    Returns:
        csr_matrix: Symmetric, float64 ``(N, N)``, at most ``2 k (V - 1)`` entries an image on average with V cameras.

    Raises:
        ValueError: If there are fewer than two cameras, a setting is out of its range, a feature is not finite, or all
            features are zero or equal.
    """
    check_affinity(affinity)
    found = nearest_across(feats, camids, neighbours, method)
    count = len(feats)
    directed = csr_matrix((_weights(found, affinity), (found.rows, found.columns)), shape=(count, count))
    return directed.maximum(directed.T).tocsr()


def laplacian_of(graph: csr_matrix) -> csr_matrix:
    r"""L, the sums of the rows on the diagonal minus W, so that :math:`\sum_{ij} W_{ij} \lVert z_i - z_j \rVert^2 =
    2\, \mathrm{tr}(Z L Z^\top)` over all ordered pairs."""
    return (diags(np.asarray(graph.sum(axis=1)).ravel()) - graph).tocsr()


def check_graph(graph: csr_matrix, count: int) -> csr_matrix:
    """Return the graph as float64 if it is one over that many images.

    Raises:
        ValueError: If it has another size, or is not symmetric, or has a negative or infinite weight.
    """
    if graph.shape != (count, count):
        raise ValueError(f'the graph must have a row for each of the {count:,} images, got shape {graph.shape}')
    graph = csr_matrix(graph, dtype=np.float64)
    if not np.isfinite(graph.data).all() or (graph.data < 0).any():
        raise ValueError('the weights of a graph must be finite and not negative')
    if (graph != graph.T).nnz:
        raise ValueError('the graph must be symmetric: graph.maximum(graph.T) makes it so')
    return graph


def check_affinity(affinity: str) -> str:
    """Return the affinity if it is known.

    Raises:
        ValueError: If it is not.
    """
    if affinity not in AFFINITIES:
        raise ValueError(f'affinity must be one of {", ".join(AFFINITIES)}, got {affinity!r}')
    return affinity


def _weights(found: CrossNeighbours, affinity: str) -> np.ndarray:
    if affinity == 'binary':
        return np.ones(len(found))
    width = found.distances.mean()
    # Where all neighbours are equal, all are as near as can be.
    return np.exp(-found.distances / width) if width > 0 else np.ones(len(found))


def as_torch(matrix: csr_matrix, device: torch.device) -> torch.Tensor:
    """A sparse matrix in torch."""
    parts = (torch.from_numpy(np.asarray(values)) for values in (
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data.astype(np.float64)))
    return torch.sparse_csr_tensor(*parts, size=matrix.shape, dtype=torch.float64, device=device)
