"""How good pseudo labels are, where the truth is known: for reports only, never for training."""

from typing import Any, Optional

import numpy as np

from .base import as_vector


def label_quality(labels: Any, mask: Optional[Any], pids: Any) -> dict[str, float]:
    r"""Compare pseudo labels with identities, over the selected images.

    With :math:`n_{kp}` the number of selected images of class k and identity p, :math:`n_k` and :math:`n_p` its sums
    and n that of all:

    .. math::
        \text{purity} = \frac{1}{n} \sum_k \max_p n_{kp}, \qquad
        \text{precision} = \frac{\sum_{kp} \binom{n_{kp}}{2}}{\sum_k \binom{n_k}{2}}, \qquad
        \text{recall} = \frac{\sum_{kp} \binom{n_{kp}}{2}}{\sum_p \binom{n_p}{2}}

    Precision and recall are those of the pairs of images: whether two with one label are one person, and whether two
    of one person have one label. NMI is the mutual information of both divided by the mean of their entropies, 1 where
    both have one value. Memory grows with the number of different pairs of class and identity.

    Images with a negative identity (junk, or nobody knows) are not judged.

    Args:
        labels (np.ndarray | torch.Tensor): Classes, integers ``(N,)``, -1: none.
        mask (np.ndarray | torch.Tensor, optional): Selected images, bool ``(N,)``. None: those with a label.
        pids (np.ndarray | torch.Tensor): Identities, integers ``(N,)``.

    Returns:
        dict[str, float]: ``purity``, ``nmi``, ``pair_precision``, ``pair_recall``, ``pair_f`` (their harmonic mean) and
        ``pid_coverage``, the share of the identities that have a selected image, all from 0 to 1; and the numbers
        ``num_judged`` and ``num_junk`` of selected images, ``num_pids`` and ``num_clusters`` among those judged. NaN
        where there is nothing to divide by: no image, no pair with one label, or no pair of one person.

    Raises:
        TypeError: If a type is wrong.
        ValueError: If shapes do not fit, or a selected image has no label.

    Example:
        >>> label_quality([0, 0, 1, -1], None, [7, 7, 8, 8])['purity']
        1.0
    """
    labels, pids = as_vector(labels, 'labels', 'iu'), as_vector(pids, 'pids', 'iu')
    mask = labels >= 0 if mask is None else as_vector(mask, 'mask', 'b')
    if not labels.shape == mask.shape == pids.shape:
        raise ValueError('labels, mask and pids must have one entry an image, got '
                         f'{len(labels)}, {len(mask)} and {len(pids)}')
    if (labels[mask] < 0).any():
        raise ValueError(f'{int((labels[mask] < 0).sum())} selected images have no label')
    judged = mask & (pids >= 0)
    pairs, classes, people = _contingency(labels[judged], pids[judged])
    both, same_class, same_pid = (float((sizes * (sizes - 1) // 2).sum())
                                  for sizes in (pairs['sizes'], classes, people))
    precision, recall = _share(both, same_class), _share(both, same_pid)
    largest = np.zeros(len(classes), dtype=np.int64)
    np.maximum.at(largest, pairs['classes'], pairs['sizes'])
    return dict(purity=_share(float(largest.sum()), int(judged.sum())), nmi=_nmi(pairs, classes, people),
                pair_precision=precision, pair_recall=recall,
                pair_f=_share(2 * both, same_class + same_pid) if same_class and same_pid else float('nan'),
                pid_coverage=_share(len(people), len(np.unique(pids[pids >= 0]))),
                num_judged=int(judged.sum()), num_junk=int((mask & (pids < 0)).sum()), num_pids=len(people),
                num_clusters=len(classes))


def _contingency(labels: np.ndarray, pids: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Cells that are not empty, with their class, identity and size; sizes of the classes; sizes of the identities."""
    _, label_index, classes = np.unique(labels, return_inverse=True, return_counts=True)
    _, pid_index, people = np.unique(pids, return_inverse=True, return_counts=True)
    cells, sizes = np.unique(label_index * max(1, len(people)) + pid_index, return_counts=True)
    return dict(classes=cells // max(1, len(people)), pids=cells % max(1, len(people)), sizes=sizes), classes, people


def _nmi(pairs: dict[str, np.ndarray], classes: np.ndarray, people: np.ndarray) -> float:
    """Mutual information over the arithmetic mean of the entropies."""
    total = classes.sum()
    if not total:
        return float('nan')
    if len(classes) == len(people) == 1:
        return 1.
    # Counts are multiplied as floats: the product of two of them may exceed 64 bits.
    joint, expected = pairs['sizes'] / total, classes[pairs['classes']] / total * (people[pairs['pids']] / total)
    information = float((joint * np.log(joint / expected)).sum())
    return min(1., max(0., information) / ((_entropy(classes) + _entropy(people)) / 2))


def _entropy(sizes: np.ndarray) -> float:
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float('nan')
