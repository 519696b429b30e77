"""The image that stands for a cluster, and how similar the others are to it: lines 5 to 9 of Algorithm 1 of PUL."""

from dataclasses import dataclass
from typing import Optional

import torch

from mmreid.utils.distance import MIN_NORM
from mmreid.utils.features import product, square_norms

from .lloyd import square_distances, wide_rows

#: Where the exemplar of a cluster is looked for: among its own images (the text), or among all (the released code).
EXEMPLARS = ('own', 'global')
#: What an image must be similar to: the exemplar of its own cluster (the text), or that of any (the released code).
SELECTS = ('own', 'any')
#: Squared distances, in float64, that differ by less than this share are equal: both images of a cluster of two are
#: equally far from their mean, but for rounding.
TIE = 1e-9
#: The same, as a share of the squared norm of the mean, for distances that come from products.
PRODUCT_TIE = 1e-12


@dataclass
class Selection:
    """Which of N images are selected, ``mask`` bool ``(N,)``; the rows of the ``exemplars``, int64 ``(K,)``; the
    ``similarities`` to them ``(N,)``; and the rows that only the constraint of Eq. 2 selects, ``forced``, int64."""

    mask: torch.Tensor
    exemplars: torch.Tensor
    similarities: torch.Tensor
    forced: torch.Tensor


def select_images(feats: torch.Tensor,
                  labels: torch.Tensor,
                  num_clusters: int,
                  threshold: Optional[float],
                  exemplar: str = 'own',
                  select: str = 'own') -> Selection:
    r"""Images that are similar enough to an exemplar, and at least one of each cluster: Eq. 2.

    .. math:: v_i = [\delta_i > \lambda], \qquad \sum_{y_i = k} v_i \geq 1 \; \forall k

    A cluster of which none is similar enough, which takes an exemplar of another cluster, keeps the image nearest to
    its mean.

    Args:
        feats (torch.Tensor): Features ``(N, C)`` as they were clustered.
        labels (torch.Tensor): Clusters, int64 ``(N,)``, of which none from 0 to ``num_clusters - 1`` is empty.
        num_clusters (int): K.
        threshold (float, optional): Lambda; None selects all.
        exemplar (str): See :func:`find_exemplars`. Defaults to ``'own'``.
        select (str): See :func:`exemplar_similarities`. Defaults to ``'own'``.
    """
    exemplars = find_exemplars(feats, labels, num_clusters, exemplar)
    similarities = exemplar_similarities(feats, labels, exemplars, select)
    mask = similarities > (-torch.inf if threshold is None else threshold)
    missing = torch.bincount(labels[mask], minlength=num_clusters) == 0
    forced = labels[:0]
    if missing.any():
        forced = find_exemplars(feats, labels, num_clusters, 'own')[missing]
        mask[forced] = True
    return Selection(mask, exemplars, similarities, forced)


def find_exemplars(feats: torch.Tensor, labels: torch.Tensor, num_clusters: int, exemplar: str = 'own') -> torch.Tensor:
    r"""Row of the image that is nearest to the mean of each cluster, by Euclidean distance.

    .. math:: e_k = \arg\min_i \lVert f_i - c_k \rVert, \qquad c_k = \frac{1}{|y_i = k|} \sum_{y_i = k} f_i

    with i over the images of cluster k (``'own'``) or over all (``'global'``); of equally near ones the first. Means
    and distances are computed in float64.

    Args:
        feats (torch.Tensor): Features ``(N, C)`` as they were clustered.
        labels (torch.Tensor): Clusters, int64 ``(N,)``, of which none from 0 to ``num_clusters - 1`` is empty.
        num_clusters (int): K.
        exemplar (str): ``'own'`` or ``'global'``. Defaults to ``'own'``.

    Returns:
        torch.Tensor: Rows, int64 ``(K,)``.
    """
    means = cluster_means(feats, labels, num_clusters)
    if exemplar == 'global':
        return _nearest_of_all(feats, means)
    distances = square_distances(feats, means, labels)
    smallest = distances.new_full((num_clusters, ), torch.inf).scatter_reduce_(0, labels, distances, 'amin')
    tied = (distances <= smallest[labels] * (1 + TIE)).nonzero()[:, 0]
    return _first_rows(tied, labels[tied], num_clusters, len(feats))


def cluster_means(feats: torch.Tensor, labels: torch.Tensor, num_clusters: int) -> torch.Tensor:
    """Means of the clusters, float64 ``(num_clusters, C)``."""
    means = torch.zeros(num_clusters, feats.shape[1], dtype=torch.float64, device=feats.device)
    step = wide_rows(feats)
    for rows, own in zip(feats.split(step), labels.split(step)):
        means.index_add_(0, own, rows.double())
    return means.div_(torch.bincount(labels, minlength=num_clusters)[:, None])


def exemplar_similarities(feats: torch.Tensor, labels: torch.Tensor, exemplars: torch.Tensor,
                          select: str = 'own') -> torch.Tensor:
    r"""Inner product of each feature with an exemplar, both of length 1: :math:`\delta_i = f_i \cdot f_k`.

    A feature of zeros has similarity 0 with everything; an exemplar has exactly 1 with itself.

    Args:
        feats (torch.Tensor): Features ``(N, C)``.
        labels (torch.Tensor): Clusters, int64 ``(N,)``.
        exemplars (torch.Tensor): Rows of the exemplars, int64 ``(K,)``.
        select (str): ``'own'``: with the exemplar of the image's cluster; ``'any'``: the largest over all. Defaults to
            ``'own'``.

    Returns:
        torch.Tensor: Similarities of shape ``(N,)``.
    """
    norms = square_norms(feats, 'feats').sqrt_().clamp_(min=MIN_NORM)
    units = feats[exemplars] / norms[exemplars, None]
    result = torch.empty_like(norms)
    step = wide_rows(feats)
    for start in range(0, len(feats), step):
        part = slice(start, min(start + step, len(feats)))
        if select == 'any':
            block = product(feats[part], units, feats.new_empty(part.stop - start, len(units)))
            result[part] = block.amax(1)
        else:
            result[part] = (feats[part] * units[labels[part]]).sum(1)
    result /= norms
    if select == 'any':
        result[exemplars] = 1
    else:
        itself = exemplars[labels[exemplars]] == exemplars
        result[exemplars[itself]] = 1
    return result


def _nearest_of_all(feats: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    norms = means.square().sum(1)
    slack = PRODUCT_TIE * norms
    best, found = torch.full_like(norms, torch.inf), torch.zeros_like(norms, dtype=torch.int64)
    step = wide_rows(feats)
    for start in range(0, len(feats), step):
        rows = feats[start:start + step].double()
        distances = product(rows * -2, means, means.new_empty(len(rows), len(means)))
        distances += norms
        distances += rows.square().sum(1)[:, None]
        distances.clamp_(min=0)
        smallest = distances.amin(0)
        # Rows of later blocks must be nearer by more than rounding.
        nearer = smallest * (1 + TIE) + slack < best
        near = (distances <= smallest * (1 + TIE) + slack).to(torch.uint8)
        found[nearer] = near.argmax(0)[nearer] + start
        best[nearer] = smallest[nearer]
    return found


def _first_rows(rows: torch.Tensor, labels: torch.Tensor, num_clusters: int, count: int) -> torch.Tensor:
    """The lowest row of each cluster."""
    return rows.new_full((num_clusters, ), count).scatter_reduce_(0, labels, rows, 'amin')
