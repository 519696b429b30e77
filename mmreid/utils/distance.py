"""Distances between the rows of two matrices, for losses (torch) and evaluation (numpy) alike."""

from typing import Union

import numpy as np
import torch

Array = Union[np.ndarray, torch.Tensor]

#: Names of the distances, taken literally: ``euclidean`` is the root, ``sqeuclidean`` its square.
DISTANCES = ('euclidean', 'sqeuclidean', 'cosine')

#: Smallest norm a vector is divided by, so that a zero vector has cosine similarity 0 with everything.
MIN_NORM = 1e-12


def check_metric(metric: str) -> str:
    """Return ``metric`` if it names a distance.

    Raises:
        ValueError: If it does not; the message lists the names.
    """
    if metric not in DISTANCES:
        raise ValueError(f'metric must be one of {", ".join(DISTANCES)}, got {metric!r}')
    return metric


def pairwise_distance(x: Array, y: Array, metric: str = 'euclidean') -> Array:
    r"""Distance of every row of ``x`` to every row of ``y``.

    * ``sqeuclidean``: :math:`\lVert x \rVert^2 + \lVert y \rVert^2 - 2 x \cdot y`, at least 0;
    * ``euclidean``: its root, whose gradient at distance 0 is 0 instead of infinite;
    * ``cosine``: :math:`1 - x \cdot y / (\lVert x \rVert \lVert y \rVert)`, at least 0; 1 for a zero vector.

    Tensors give a tensor on their device through which gradients flow; arrays give an array. Half precision inputs, and
    any input under autocast, are computed in float32 at least and the result keeps that type.

    Args:
        x (np.ndarray | torch.Tensor): Matrix of shape ``(N, C)``.
        y (np.ndarray | torch.Tensor): Matrix of shape ``(M, C)``, of the same kind as ``x``.
        metric (str): ``'euclidean'``, ``'sqeuclidean'`` or ``'cosine'``. Defaults to ``'euclidean'``.

    Returns:
        np.ndarray | torch.Tensor: Distances of shape ``(N, M)``.

    Raises:
        ValueError: If the metric is unknown or the shapes do not fit.
        TypeError: If ``x`` and ``y`` are not both tensors or both arrays.

    Example:
        >>> pairwise_distance(torch.tensor([[0., 0.]]), torch.tensor([[3., 4.], [0., 0.]]))
        tensor([[5., 0.]])
    """
    check_metric(metric)
    kinds = [kind for kind in (torch.Tensor, np.ndarray) if isinstance(x, kind) and isinstance(y, kind)]
    if not kinds:
        raise TypeError('x and y must both be torch tensors or both be numpy arrays, '
                        f'got {type(x).__name__} and {type(y).__name__}')
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f'x and y must have shapes (N, C) and (M, C), got {tuple(x.shape)} and {tuple(y.shape)}')
    if kinds[0] is np.ndarray:
        dtype = np.result_type(x, y, np.float32)
        return _numpy_distance(x.astype(dtype, copy=False), y.astype(dtype, copy=False), metric)
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        return _torch_distance(x.to(dtype), y.to(dtype), metric)


def _torch_distance(x: torch.Tensor, y: torch.Tensor, metric: str) -> torch.Tensor:
    if metric == 'cosine':
        x = torch.nn.functional.normalize(x, dim=1, eps=MIN_NORM)
        y = torch.nn.functional.normalize(y, dim=1, eps=MIN_NORM)
        return (1 - x @ y.t()).clamp(min=0)
    squared = x.square().sum(1, keepdim=True) + y.square().sum(1)
    squared = torch.addmm(squared, x, y.t(), alpha=-2).clamp(min=0)
    if metric == 'sqeuclidean':
        return squared
    # The root has an infinite slope at 0: put 1 below it there, so that neither 0 * inf nor NaN reaches the inputs.
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _numpy_distance(x: np.ndarray, y: np.ndarray, metric: str) -> np.ndarray:
    x_square, y_square = np.einsum('ij,ij->i', x, x), np.einsum('ij,ij->i', y, y)
    result = x @ y.T
    if metric == 'cosine':
        # Scaling the products instead of the vectors spares a copy of both matrices.
        result /= -np.maximum(np.sqrt(x_square), MIN_NORM)[:, None]
        result /= np.maximum(np.sqrt(y_square), MIN_NORM)
        result += 1
    else:
        result *= -2
        result += x_square[:, None]
        result += y_square
    np.maximum(result, 0, out=result)
    return np.sqrt(result, out=result) if metric == 'euclidean' else result
