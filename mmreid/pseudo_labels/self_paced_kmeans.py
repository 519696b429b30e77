"""The labeller of PUL."""

from typing import Any, Optional

import numpy as np
import torch

from mmreid.registry import TASK_UTILS
from mmreid.utils.features import Array, as_tensor

from .base import PseudoLabeller, PseudoLabels, contiguous_labels
from .exemplars import EXEMPLARS, select_images
from .kmeans import KMeansResult, check_num_clusters, check_settings, kmeans
from .selection_curve import (
    check_select,
    check_threshold,
    only_exemplars_warning,
    selection_curve,
    similarity_quantiles,
)

#: Values of lambda at which every labelling tells what they would select: the axis of Fig. 5(a) where lambda matters.
CURVE_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))


@TASK_UTILS.register_module()
class SelfPacedKMeans(PseudoLabeller):
    r"""k-means, and of each cluster the images that are similar to its exemplar.

    Lines 4 to 16 of Algorithm 1 of Fan, Zheng and Yang: `Unsupervised Person Re-identification: Clustering and
    Fine-tuning <https://arxiv.org/abs/1705.10444>`_ (PUL). The features are clustered as they are; the exemplar of a
    cluster is the image that is nearest to its mean (of equally near ones the first); an image is selected when the
    inner product of its feature and that of the exemplar, both scaled to length 1, exceeds the threshold. Every cluster
    that has images keeps at least one (Eq. 2): its exemplar, or, where that belongs to another cluster and nothing else
    is selected, its image nearest to the mean.

    Clusters without images are left out and the others numbered from 0 in their order, so the classes are the clusters
    alive. Images that are not selected keep the label of their cluster.

    In addition to what all labellers log, ``info`` has ``num_empty`` clusters, ``iterations``, ``inertia`` and
    ``converged`` of k-means, ``cluster_numbers`` (the number of each class in k-means), ``exemplar_rows``,
    ``forced_rows`` (what only the constraint selects), ``similarity_quantiles`` (pairs of a share and a similarity,
    over images that are no exemplars), ``selection_curve`` (pairs of a threshold and the share of the images that it
    would select on these clusters, Fig. 5(a)) and the settings.

    Args:
        num_clusters (int): K, at least 2. The paper takes about the number of identities: 750 for Market-1501 and
            CUHK03, 700 for DukeMTMC-reID.
        threshold (float, optional): Lambda, between -1 and 1. None selects every image, as the ablation of Table III.
            Defaults to 0.85.
        max_iter (int): Largest number of iterations of k-means. Defaults to 300.
        exemplar (str): ``'own'``: the nearest of the cluster's images, as the text. ``'global'``: the nearest of all,
            as the released code. Defaults to ``'own'``.
        select (str): ``'own'``: similar to the exemplar of its own cluster, as the text. ``'any'``: to that of any
            cluster, as the released code; the label is that of its own cluster all the same. Defaults to ``'own'``.
        tol (float): See :func:`kmeans`. Defaults to 1e-4.
        seed (int, optional): Of the draws of k-means++. Defaults to None: that of the training that calls it, else 0.
        backend (str): See :func:`kmeans`. Defaults to ``'auto'``.

    Raises:
        ValueError: If a setting is out of its range; when called, also if there are fewer images than clusters, a
            feature is not finite, or all features are equal.

    Example:
        >>> labeller = dict(type='SelfPacedKMeans', num_clusters=750, threshold=0.85)
        >>> released_code = dict(type='SelfPacedKMeans', num_clusters=750, exemplar='global', select='any')
    """

    def __init__(self,
                 num_clusters: int,
                 threshold: Optional[float] = 0.85,
                 max_iter: int = 300,
                 exemplar: str = 'own',
                 select: str = 'own',
                 tol: float = 1e-4,
                 seed: Optional[int] = None,
                 backend: str = 'auto') -> None:
        check_num_clusters(num_clusters)
        if num_clusters == 1:
            raise ValueError('num_clusters=1 gives all images one label, of which a classifier learns nothing: '
                             'choose at least 2 clusters, about as many as there are people')
        if exemplar not in EXEMPLARS:
            raise ValueError(f'exemplar must be one of {", ".join(EXEMPLARS)}, got {exemplar!r}')
        check_settings(max_iter, tol, seed or 0, backend)
        self.num_clusters, self.exemplar, self.select = num_clusters, exemplar, check_select(select)
        self.threshold = None if threshold is None else check_threshold(threshold)
        self.max_iter, self.tol, self.seed, self.backend = max_iter, tol, seed, backend

    def label(self, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Cluster and select; cameras are not looked at."""
        found = kmeans(feats, self.num_clusters, max_iter=self.max_iter, tol=self.tol, seed=self.seed or 0,
                       backend=self.backend)
        classes, numbers = contiguous_labels(found.labels)
        if len(numbers) < 2:
            raise ValueError(f'the features of all {len(feats):,} images are equal, so there is nothing to cluster: '
                             'the network has collapsed, or its weights were not loaded')
        tensor, count = as_tensor(feats), len(numbers)
        labels = torch.from_numpy(classes).to(tensor.device)
        selection = select_images(tensor, labels, count, self.threshold, self.exemplar, self.select)
        others = torch.ones_like(selection.mask)
        others[selection.exemplars] = False
        similarities, of_others = selection.similarities, selection.similarities[others]
        info = dict(self._kmeans_info(found, numbers), exemplar_rows=selection.exemplars, forced_rows=selection.forced,
                    similarity_quantiles=similarity_quantiles(of_others), threshold=self.threshold,
                    exemplar=self.exemplar, select=self.select)
        if self.threshold is not None and int(selection.mask.sum()) == count:
            info['warnings'].append(only_exemplars_warning(count, similarities, of_others, self.threshold))
        result = PseudoLabels(classes, selection.mask, info, selection.exemplars)
        shares = selection_curve(feats, result, CURVE_THRESHOLDS)
        result.info['selection_curve'] = [list(pair) for pair in zip(CURVE_THRESHOLDS, shares.tolist())]
        return result

    def _kmeans_info(self, found: KMeansResult, numbers: np.ndarray) -> dict[str, Any]:
        empty, messages = self.num_clusters - len(numbers), []
        if empty:
            messages.append(f'{empty:,} of {self.num_clusters:,} clusters are empty: there are hardly more different '
                            'features than clusters')
        if not found.converged:
            messages.append(f'k-means was stopped after max_iter={self.max_iter} iterations')
        return dict(num_empty=empty, iterations=found.iterations, inertia=found.inertia, converged=found.converged,
                    cluster_numbers=numbers, warnings=messages)

    def describe(self) -> str:
        """Name and settings."""
        threshold = 'no selection' if self.threshold is None else f'threshold={self.threshold:g}'
        return (f'SelfPacedKMeans({self.num_clusters} clusters, {threshold}, exemplar={self.exemplar}, '
                f'select={self.select})')
