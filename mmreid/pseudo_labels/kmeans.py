"""k-means: scikit-learn's on the CPU, Lloyd's algorithm in torch on CUDA devices."""

import warnings
from dataclasses import dataclass
from typing import Union

import numpy as np
import torch

from mmreid.utils.features import Array, as_matrix, as_tensor, repeated_rows, square_norms

from . import lloyd

#: Implementations; ``'auto'`` takes torch for features on a CUDA device and scikit-learn otherwise.
BACKENDS = ('auto', 'sklearn', 'torch')


@dataclass
class KMeansResult:
    """Clusters of N rows.

    ``labels`` are int64 ``(N,)``, each the nearest of the ``centres`` ``(K, C)``, which are of the kind and on the
    device of the features; a cluster may be empty where fewer than K rows are different. ``inertia`` is the sum of the
    squared distances to the centres. ``converged``: it stopped by itself; with scikit-learn, which does not tell,
    before the last iteration that was allowed.
    """

    labels: np.ndarray
    centres: Array
    inertia: float
    iterations: int
    converged: bool


def kmeans(feats: Array,
           num_clusters: int,
           *,
           max_iter: int = 300,
           tol: float = 1e-4,
           init: Union[str, Array] = 'k-means++',
           seed: int = 0,
           backend: str = 'auto') -> KMeansResult:
    r"""Cluster rows by Lloyd's algorithm, Eq. 1 of `PUL <https://arxiv.org/abs/1705.10444>`_, from one start.

    .. math:: \min_{y, c} \sum_k \sum_{y_i = k} \lVert f_i - c_k \rVert^2

    All rows are assigned in every iteration. It stops when no label changes, when the centres move by no more than
    ``tol`` times the mean variance of a channel (sum of squares over all centres), or after ``max_iter`` iterations. A
    cluster that loses its last row starts again at the row that is farthest from its centre. Where there are no more
    different rows than clusters, each different row is a cluster, in the order of the rows, and the others are empty.

    Both implementations do the same from the same ``init``, but for rows within rounding of a tie; their draws for
    k-means++ differ. On the CPU the one in torch repeats bit for bit; the sums of scikit-learn depend on the order in
    which more than two threads finish.

    Args:
        feats (np.ndarray | torch.Tensor): Features of shape ``(N, C)``, on the CPU or a CUDA device.
        num_clusters (int): K, at most N.
        max_iter (int): Largest number of iterations. Defaults to 300.
        tol (float): Movement of the centres that counts as none. Defaults to 1e-4.
        init (str | np.ndarray | torch.Tensor): ``'k-means++'`` or centres ``(K, C)``. Defaults to ``'k-means++'``.
        seed (int): Of the draws of k-means++. Defaults to 0.
        backend (str): ``'sklearn'``, ``'torch'`` or ``'auto'`` (see :data:`BACKENDS`). Defaults to ``'auto'``.

    Raises:
        ValueError: If a parameter is out of its range, shapes do not fit, there are fewer rows than clusters, or a
            feature is not finite.
        ImportError: If scikit-learn is to be used and not installed.
    """
    feats = as_matrix(feats, 'feats')
    square_norms(feats, 'feats')
    _check(len(feats), num_clusters, max_iter, tol, seed, backend)
    tensor = as_tensor(feats)
    start = None if isinstance(init, str) else _given_centres(init, tensor, num_clusters)
    if start is None and init != 'k-means++':
        raise ValueError(f"init must be 'k-means++' or centres, got {init!r}")
    if start is None and (trivial := _one_cluster_a_row(feats, num_clusters)) is not None:
        labels, centres, iterations, converged = trivial
    elif backend == 'torch' or (backend == 'auto' and tensor.is_cuda):
        labels, centres, iterations, converged = _with_torch(tensor, num_clusters, max_iter, tol, start, seed)
    else:
        labels, centres, iterations, converged = _with_sklearn(tensor, num_clusters, max_iter, tol, start, seed)
    inertia = float(lloyd.square_distances(tensor, centres, labels).sum())
    return KMeansResult(labels.cpu().numpy(), centres if isinstance(feats, torch.Tensor) else centres.numpy(), inertia,
                        iterations, converged)


def check_num_clusters(num_clusters: int, smallest: int = 1) -> None:
    """Check a number of clusters.

    Raises:
        ValueError: If it is no integer or too small.
    """
    if isinstance(num_clusters, bool) or not isinstance(num_clusters, (int, np.integer)) or num_clusters < smallest:
        raise ValueError(f'num_clusters must be an integer of at least {smallest}, got {num_clusters!r}')


def _check(count: int, num_clusters: int, max_iter: int, tol: float, seed: int, backend: str) -> None:
    check_num_clusters(num_clusters)
    if num_clusters > count:
        raise ValueError(f'there are fewer images than clusters: {count:,} images, num_clusters={num_clusters:,}; '
                         'choose fewer clusters')
    check_settings(max_iter, tol, seed, backend)


def check_settings(max_iter: int, tol: float, seed: int, backend: str) -> None:
    """Check the parameters that do not depend on the features.

    Raises:
        ValueError: If one is out of its range.
    """
    if isinstance(max_iter, bool) or not isinstance(max_iter, (int, np.integer)) or max_iter < 1:
        raise ValueError(f'max_iter must be an integer of at least 1, got {max_iter!r}')
    if not tol >= 0 or tol == float('inf'):
        raise ValueError(f'tol must be a number of at least 0, got {tol!r}')
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f'seed must be an integer from 0 to 2**32 - 1, got {seed!r}')
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {", ".join(BACKENDS)}, got {backend!r}')


def _given_centres(init: Array, feats: torch.Tensor, num_clusters: int) -> torch.Tensor:
    """Initial centres of the type and on the device of the features."""
    centres = as_matrix(init, 'init')
    square_norms(centres, 'init')
    if tuple(centres.shape) != (num_clusters, feats.shape[1]):
        raise ValueError(f'init must be centres of shape {(num_clusters, feats.shape[1])}, got {tuple(centres.shape)}')
    return torch.as_tensor(centres).to(feats)


def _one_cluster_a_row(feats: Array, num_clusters: int) -> Union[tuple[torch.Tensor, torch.Tensor, int, bool], None]:
    """Each different row as a cluster of its own, where there are no more of them than clusters; otherwise None.

    Drawing them would do the same, but leave it to rounding which of several equal centres gets a row.
    """
    repeated, original = repeated_rows(feats)
    if len(feats) - len(repeated) > num_clusters:
        return None
    first = np.arange(len(feats))
    first[repeated] = original
    rows, labels = np.unique(first, return_inverse=True)
    tensor, labels = as_tensor(feats), torch.from_numpy(labels.astype(np.int64))
    # An empty cluster has the centre of the largest one, as elsewhere.
    largest = rows[int(torch.bincount(labels).argmax())]
    chosen = torch.from_numpy(np.concatenate([rows, np.full(num_clusters - len(rows), largest)])).to(tensor.device)
    return labels.to(tensor.device), tensor[chosen], 0, True


def _with_torch(feats: torch.Tensor, num_clusters: int, max_iter: int, tol: float, start: Union[torch.Tensor, None],
                seed: int) -> tuple[torch.Tensor, torch.Tensor, int, bool]:
    # Distances come from products, which round less around the mean.
    mean = feats.mean(0)
    feats = feats - mean
    centres = feats[lloyd.plus_plus(feats, num_clusters, seed)] if start is None else start - mean
    # After centring, the mean square is the variance.
    tol = tol * float(square_norms(feats, 'feats').mean(dtype=torch.float64)) / feats.shape[1]
    labels, centres, iterations, converged = lloyd.lloyd(feats, centres, max_iter, tol)
    return labels, centres + mean, iterations, converged


def _with_sklearn(feats: torch.Tensor, num_clusters: int, max_iter: int, tol: float, start: Union[torch.Tensor, None],
                  seed: int) -> tuple[torch.Tensor, torch.Tensor, int, bool]:
    try:
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise ImportError('k-means on the CPU uses scikit-learn: pip install scikit-learn, or choose backend="torch"'
                          ) from error
    model = KMeans(num_clusters, init='k-means++' if start is None else start.cpu().numpy(), n_init=1,
                   max_iter=max_iter, tol=tol, random_state=int(seed), algorithm='lloyd')
    with warnings.catch_warnings():
        # Fewer different rows than clusters: the caller sees empty clusters.
        warnings.simplefilter('ignore', ConvergenceWarning)
        model.fit(feats.cpu().numpy())
    labels, centres = (torch.from_numpy(values).to(feats.device)
                       for values in (model.labels_.astype(np.int64), model.cluster_centers_))
    return labels, centres, int(model.n_iter_), model.n_iter_ < max_iter
