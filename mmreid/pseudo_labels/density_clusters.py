"""Clusters where images are dense, and noise elsewhere."""

import warnings
from typing import Optional

import numpy as np

from mmreid.registry import TASK_UTILS
from mmreid.utils.distance import MIN_NORM
from mmreid.utils.features import Array, as_tensor
from mmreid.utils.k_reciprocal import METRICS, SparseRows, check_settings, jaccard_neighbours

from .base import PseudoLabeller, PseudoLabels

#: A distance that exceeds eps by no more is equal to it. Some distances are frequent: with k2 = 6, images that share 4
#: of their 6 nearest and nothing else are at distance 1/2, and rounding in float32 must not decide about them.
MARGIN = 1e-5


@TASK_UTILS.register_module()
class DensityClusters(PseudoLabeller):
    r"""DBSCAN over the Jaccard distance of k-reciprocal encodings.

    Ester et al., *A Density-Based Algorithm for Discovering Clusters*, KDD 1996, on the distance of Zhong et al.,
    *Re-ranking Person Re-identification with k-reciprocal Encoding*, CVPR 2017, as widely used since for re-ID without
    labels. An image with at least ``min_samples`` images within ``eps``, itself included, is a core of a cluster, and
    so are in turn all cores within ``eps`` of it. Other images within ``eps`` of a core belong to its cluster, or to
    the first of several (clusters are numbered by their lowest core). The rest is noise: label -1, not selected. The
    number of clusters comes out of the data.

    Distances that are larger than ``eps`` by rounding only (1e-5) are equal to it. None beyond is kept, so memory grows
    with the number of neighbours, not with N x N. Through scikit-learn.

    In addition to what all labellers log, ``info`` has ``num_cores`` and the settings. Where all is noise, nothing is
    selected and ``reason`` tells the distances that were found.

    Args:
        eps (float): Largest Jaccard distance of neighbours, above 0 and below 1. Defaults to 0.6.
        min_samples (int): Images within eps of a core, itself included. Defaults to 4.
        k1 (int): Size of the k-reciprocal neighbourhoods, below the number of images. Defaults to 20.
        k2 (int): Rows of the local query expansion. Defaults to 6.
        metric (str): ``'euclidean'`` (or ``'sqeuclidean'``, the same here) or ``'cosine'``, which scales the features
            to length 1 first. Defaults to ``'euclidean'``.

    Raises:
        ValueError: If a setting is out of its range; when called, also if there are no more than k1 images.
        ImportError: When called, if scikit-learn is not installed.

    Example:
        >>> labeller = dict(type='DensityClusters', eps=0.5, min_samples=4, metric='cosine')
    """

    def __init__(self, eps: float = 0.6, min_samples: int = 4, k1: int = 20, k2: int = 6,
                 metric: str = 'euclidean') -> None:
        if isinstance(eps, (bool, str)) or not 0 < eps < 1:
            raise ValueError('eps must lie between 0 and 1, both excluded (images that share no neighbour are at '
                             f'Jaccard distance 1), got {eps!r}')
        if isinstance(min_samples, bool) or not isinstance(min_samples, (int, np.integer)) or min_samples < 1:
            raise ValueError(f'min_samples must be an integer of at least 1, got {min_samples!r}')
        if metric not in METRICS:
            raise ValueError(f'metric must be one of {", ".join(METRICS)}, got {metric!r}')
        # The number of images is not known yet.
        for name, value in (('k1', k1), ('k2', k2)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f'{name} must be an integer of at least 1, got {value!r}')
        self.eps, self.min_samples, self.k1, self.k2, self.metric = float(eps), min_samples, k1, k2, metric

    def label(self, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Cluster; cameras are not looked at."""
        check_settings(self.k1, self.k2, len(feats))
        feats = as_tensor(feats)
        if self.metric == 'cosine':
            feats = feats / feats.norm(dim=1, keepdim=True).clamp_(min=MIN_NORM)
        labels, num_cores = self._dbscan(jaccard_neighbours(feats, self.k1, self.k2, self.eps + 2 * MARGIN))
        mask = labels >= 0
        info = dict(num_cores=num_cores, eps=self.eps, min_samples=self.min_samples, k1=self.k1, k2=self.k2)
        if not mask.any():
            info['reason'] = self._why_all_is_noise(jaccard_neighbours(feats, self.k1, self.k2))
        elif labels.max() == 0:
            info['warnings'] = [f'all {int(mask.sum()):,} images that are no noise form one cluster, of which a '
                                f'classifier learns nothing: choose a smaller eps than {self.eps:g}']
        return PseudoLabels(labels, mask, info)

    def _dbscan(self, neighbours: SparseRows) -> tuple[np.ndarray, int]:
        """Labels, int64 ``(N,)``, and the number of cores."""
        try:
            from sklearn.cluster import DBSCAN
            from sklearn.exceptions import EfficiencyWarning
        except ImportError as error:
            raise ImportError('DensityClusters needs scikit-learn: pip install scikit-learn') from error
        from scipy.sparse import csr_matrix
        count = len(neighbours.lengths)
        # What is not stored is far. Zeros that are stored stay neighbours: equal images, and each image itself.
        graph = csr_matrix(tuple(values.cpu().numpy() for values in (neighbours.values.double(), neighbours.columns,
                                                                     neighbours.starts)), shape=(count, count))
        with warnings.catch_warnings():
            # Earlier versions say that they sort the neighbours of each image by distance.
            warnings.simplefilter('ignore', EfficiencyWarning)
            found = DBSCAN(eps=self.eps + MARGIN, min_samples=self.min_samples, metric='precomputed').fit(graph)
        return found.labels_.astype(np.int64), len(found.core_sample_indices_)

    def _why_all_is_noise(self, neighbours: SparseRows) -> str:
        """What the distance of each image to the neighbour that would make it a core is."""
        reach = np.ones(len(neighbours.lengths))
        starts, values = neighbours.starts.tolist(), neighbours.values.cpu().numpy()
        for row, (start, stop) in enumerate(zip(starts[:-1], starts[1:])):
            if stop - start >= self.min_samples:
                reach[row] = np.partition(values[start:stop], self.min_samples - 1)[self.min_samples - 1]
        smallest, median = reach.min(), np.median(reach)
        return (f'all {len(reach):,} images are noise: none has {self.min_samples} images (itself included) within '
                f'eps={self.eps:g}. The smallest eps at which one has is {smallest:.3f}, and half of the images have '
                f'at {median:.3f}: choose eps between, a smaller min_samples, or a better model to start from')

    def describe(self) -> str:
        """Name and settings."""
        return (f'DensityClusters(eps={self.eps:g}, min_samples={self.min_samples}, k1={self.k1}, k2={self.k2}, '
                f'{self.metric})')
