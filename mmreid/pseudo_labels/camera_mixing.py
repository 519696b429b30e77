"""Whether pseudo labels join cameras: what re-identification is about, and what clusters least do by themselves."""

from typing import Any, Optional

import numpy as np

from .base import as_vector


def camera_mixing(labels: Any, mask: Optional[Any], camids: Any, pids: Optional[Any] = None) -> dict[str, float]:
    r"""How many cameras the classes of the selected images come from, and, with identities, what joins cameras.

    A pair of images *crosses* if they are from different cameras. Cross precision is the share of the crossing pairs
    with one label that are one person, cross recall the share of the crossing pairs of one person that have one label.
    An evaluation ranks crossing pairs only, so labels may be pure, because images of one camera are alike, and yet
    teach nothing that it asks for.

    Args:
        labels (np.ndarray | torch.Tensor): Classes, integers ``(N,)``, -1: none.
        mask (np.ndarray | torch.Tensor, optional): Selected images, bool ``(N,)``. None: those with a label.
        camids (np.ndarray | torch.Tensor): Cameras, integers ``(N,)``.
        pids (np.ndarray | torch.Tensor, optional): Identities, integers ``(N,)``; images with a negative one do not
            count for precision and recall. Defaults to None, unknown.

    Returns:
        dict[str, float]: ``cameras_per_cluster``, the mean number of cameras of a class, and ``single_camera``, the
        share of the classes of at least two selected images that are of one camera; with identities also
        ``cross_precision`` and ``cross_recall``. NaN where there is nothing to divide by.

    Raises:
        TypeError: If a type is wrong.
        ValueError: If shapes do not fit.

    Example:
        >>> camera_mixing([0, 0, 1, 1], None, [1, 1, 1, 2])
        {'cameras_per_cluster': 1.5, 'single_camera': 0.5}
    """
    labels, camids = as_vector(labels, 'labels', 'iu'), as_vector(camids, 'camids', 'iu')
    mask = labels >= 0 if mask is None else as_vector(mask, 'mask', 'b')
    pids = None if pids is None else as_vector(pids, 'pids', 'iu')
    if any(len(values) != len(labels) for values in (camids, mask, *(() if pids is None else (pids, )))):
        raise ValueError('labels, mask, camids and pids must have one entry an image, got lengths '
                         f'{[len(values) for values in (labels, mask, camids, *(() if pids is None else (pids, )))]}')
    mask = mask & (labels >= 0)
    classes, sizes = np.unique(labels[mask], return_counts=True)
    cameras = np.bincount(np.searchsorted(classes, np.unique(np.stack([labels[mask], camids[mask]]), axis=1)[0]),
                          minlength=len(classes))
    several = sizes > 1
    result = dict(cameras_per_cluster=_mean(cameras), single_camera=_mean(cameras[several] == 1))
    if pids is not None:
        judged = mask & (pids >= 0)
        label, pid, camera = labels[judged], pids[judged], camids[judged]
        right = _pairs(label, pid) - _pairs(label, pid, camera)
        same_label = _pairs(label) - _pairs(label, camera)
        same_pid = _pairs(pid) - _pairs(pid, camera)
        result.update(cross_precision=right / same_label if same_label else float('nan'),
                      cross_recall=right / same_pid if same_pid else float('nan'))
    return result


def _pairs(*columns: np.ndarray) -> int:
    """Pairs of rows that agree in all columns."""
    _, sizes = np.unique(np.stack(columns), axis=1, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float('nan')
