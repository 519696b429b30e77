"""Nearest images in other cameras, and the labels of an anchor camera that follow from them."""

from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import torch

from mmreid.utils.features import Array, as_matrix, as_tensor, repeated_rows, square_norms
from mmreid.utils.nearest import Neighbours, nearest_neighbours

from .base import as_vector

#: Where the cameras of a user's own images are said, for messages.
SAY_CAMERAS = ("FolderReID reads cameras by camera_pattern (r'_c(\\d+)' for 0001_c2.jpg) or from a column camid of its "
               'list')


@dataclass
class CrossNeighbours:
    """Images and their nearest images in other cameras: one entry for each ordered pair.

    Sorted by row, then by the camera of the column, then by distance, and by column where distances are equal.

    Attributes:
        rows (np.ndarray): Images, int64 ``(E,)``.
        columns (np.ndarray): A nearest image of each, in another camera, int64 ``(E,)``.
        distances (np.ndarray): Squared Euclidean distances of both, at least 0, float64 ``(E,)``.
    """

    rows: np.ndarray
    columns: np.ndarray
    distances: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def check_cameras(camids: Any, method: str) -> np.ndarray:
    """Cameras as int64 ``(N,)``.

    Args:
        camids (np.ndarray | torch.Tensor): Integers ``(N,)``.
        method (str): Who needs them, for the messages.

    Raises:
        TypeError: If they are no integers.
        ValueError: If there are none, or fewer than two different ones.
    """
    instead = 'SelfPacedKMeans and DensityClusters label images without looking at cameras'
    if camids is None:
        raise ValueError(f'{method} needs the camera of every image, and these images come without; {instead}. '
                         f'{SAY_CAMERAS}.')
    camids = as_vector(camids, 'camids', 'iu')
    cameras = np.unique(camids)
    if len(cameras) < 2:
        only = f'all {len(camids):,} are of camera {cameras[0]}' if len(cameras) else 'there is no image'
        raise ValueError(f'{method} needs images of at least two cameras, because it compares each image with those '
                         f'of other cameras, and {only}; {instead}. {SAY_CAMERAS}.')
    return camids


def check_spread(feats: Array) -> None:
    """Refuse features ``(N, C)`` under which all images are the same: distances and directions mean nothing then.

    Raises:
        ValueError: If all are zero, or there are several and all are equal.
    """
    zero = not bool((feats * feats != 0).any())  # as distances see it: squares that vanish are none
    if zero or len(feats) > 1 and bool((feats == feats[:1]).all()):
        raise ValueError(f'the features of all {len(feats):,} images are {"zero" if zero else "equal"}, so there is '
                         'nothing to learn from them: the network has collapsed, or its weights were not loaded')


def crowding(labels: np.ndarray, others: np.ndarray) -> list[str]:
    """A warning where one class takes more than half of the images of the other cameras, else nothing.

    Args:
        labels (np.ndarray): Classes, int64 ``(N,)``, -1: none.
        others (np.ndarray): Which images are not of the anchor camera, bool ``(N,)``.
    """
    sizes = np.bincount(labels[others & (labels >= 0)])
    count = int(others.sum())
    if not len(sizes) or 2 * sizes.max() <= count:
        return []
    return [f'class {sizes.argmax()} takes {sizes.max():,} of the {count:,} images of the other cameras: features that '
            'hardly differ, or one image that is near to all; labels like these teach little']


def choose_anchor(camids: Any, anchor: Union[str, int] = 'largest') -> int:
    """The camera whose images the classes come from.

    Args:
        camids (np.ndarray | torch.Tensor): Cameras, integers ``(N,)``.
        anchor (str | int): ``'largest'``, the camera with most images (of several the one with the lowest number), or
            the number of a camera. Defaults to ``'largest'``.

    Raises:
        ValueError: If ``anchor`` is neither, or that camera has no image.

    Example:
        >>> choose_anchor(np.array([4, 2, 2, 4, 9]))
        2
    """
    check_anchor(anchor)
    cameras, counts = np.unique(as_vector(camids, 'camids', 'iu'), return_counts=True)
    if not len(cameras):
        raise ValueError('there is no image, so no camera can be the anchor')
    if anchor == 'largest':
        return int(cameras[counts.argmax()])
    if anchor not in cameras:
        raise ValueError(f'anchor={anchor}, and no image is of that camera; there are images of the cameras '
                         f'{", ".join(map(str, cameras.tolist()))}')
    return int(anchor)


def check_anchor(anchor: Union[str, int]) -> Union[str, int]:
    """Return the anchor if it is ``'largest'`` or may be the number of a camera.

    Raises:
        ValueError: If it is neither.
    """
    number = isinstance(anchor, (int, np.integer)) and not isinstance(anchor, bool)
    if anchor != 'largest' and not number:
        raise ValueError(f"anchor must be 'largest' or the number of a camera, got {anchor!r}")
    return anchor


def nearest_across(feats: Array, camids: Any, k: int = 1,
                   method: str = 'the search for neighbours across cameras') -> CrossNeighbours:
    """The k nearest images of every image in each of the other cameras.

    Exact, by blocks, so nothing of size N x N is kept. Of equally near images those with the lowest row are taken;
    images that are equal bit by bit are equally near. A camera with fewer than k images gives all it has.

    Args:
        feats (np.ndarray | torch.Tensor): Features ``(N, C)``, float32 or float64, on the CPU or a CUDA device.
        camids (np.ndarray | torch.Tensor): Cameras, integers ``(N,)``.
        k (int): Neighbours in each camera. Defaults to 1.
        method (str): Who asks, for the messages.

    Returns:
        CrossNeighbours: With ``k (V - 1)`` entries an image, where all V cameras have k images.

    Raises:
        ValueError: If there are fewer than two cameras, k is below 1, shapes do not fit, a feature is not finite, or
            all features are zero or equal.
    """
    feats, camids = _checked(feats, camids, method)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f'k must be an integer of at least 1, got {k!r}')
    parts = []
    for camera in np.unique(camids):
        members, others = np.flatnonzero(camids == camera), np.flatnonzero(camids != camera)
        found = _nearest(feats[_rows(others, feats)], feats[_rows(members, feats)], min(int(k), len(members)))
        columns = members[found.index.cpu().numpy()]
        parts.append((np.repeat(others, columns.shape[1]), columns.ravel(),
                      found.distances.double().cpu().numpy().ravel()))
    rows, columns, distances = (np.concatenate(values) for values in zip(*parts))
    # The parts come in the order of the cameras, and each row's entries of a part by distance: both are kept.
    order = np.argsort(rows, kind='stable')
    return CrossNeighbours(rows[order], columns[order], distances[order])


def anchor_labels(feats: Array, camids: Any, anchor: int,
                  method: str = 'labelling by an anchor camera') -> tuple[np.ndarray, np.ndarray]:
    """Soft labels of Geng et al., `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_, section 4.2: each image of the anchor camera is a class of its own, in their
    order from 0; each other image gets the class of its nearest image of the anchor camera.

    The paper has two cameras, A and B. With more, each of the others is labelled by the anchor as B is by A.

    Args:
        feats (np.ndarray | torch.Tensor): Features ``(N, C)``, float32 or float64, on the CPU or a CUDA device.
        camids (np.ndarray | torch.Tensor): Cameras, integers ``(N,)``.
        anchor (int): Number of the anchor camera; see :func:`choose_anchor`.
        method (str): Who asks, for the messages.

    Returns:
        tuple[np.ndarray, np.ndarray]: Labels, int64 ``(N,)``, and the row of the image of the anchor camera that each
        has its label from, int64 ``(N,)``: itself for those of the anchor camera. Of equally near ones the lowest.

    Raises:
        ValueError: If there are fewer than two cameras, none of the images is of the anchor camera, shapes do not fit,
            a feature is not finite, or all features are zero or equal.

    Example:
        >>> labels, neighbour = anchor_labels(np.array([[0.], [5.], [6.], [1.]]), np.array([1, 1, 2, 2]), anchor=1)
        >>> labels.tolist(), neighbour.tolist()
        ([0, 1, 1, 0], [0, 1, 1, 0])
    """
    feats, camids = _checked(feats, camids, method)
    members = np.flatnonzero(camids == choose_anchor(camids, anchor))
    others = np.flatnonzero(camids != camids[members[0]])
    labels = np.empty(len(camids), dtype=np.int64)
    labels[members] = np.arange(len(members))
    found = _nearest(feats[_rows(others, feats)], feats[_rows(members, feats)], 1)
    labels[others] = found.index[:, 0].cpu().numpy()
    return labels, members[labels]


def mutual_neighbours(feats: Array, camids: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Which images are, of all images of their camera, the nearest to their neighbour in the anchor camera.

    Args:
        feats (np.ndarray | torch.Tensor): Features ``(N, C)``.
        camids (np.ndarray): Cameras, int64 ``(N,)``.
        neighbours (np.ndarray): The second result of :func:`anchor_labels`.

    Returns:
        np.ndarray: Bool ``(N,)``; False for the images of the anchor camera.
    """
    tensor, mutual = as_tensor(feats), np.zeros(len(camids), dtype=bool)
    own = neighbours == np.arange(len(camids))
    members = np.flatnonzero(own)
    place = np.searchsorted(members, neighbours)
    for camera in np.unique(camids[~own]):
        rows = np.flatnonzero(camids == camera)
        found = _nearest(tensor[_rows(members, tensor)], tensor[_rows(rows, tensor)], 1).index[:, 0].cpu().numpy()
        mutual[rows] = rows[found[place[rows]]] == rows
    return mutual


def _checked(feats: Array, camids: Any, method: str) -> tuple[torch.Tensor, np.ndarray]:
    feats, camids = as_tensor(as_matrix(feats, 'feats')), check_cameras(camids, method)
    if len(camids) != len(feats):
        raise ValueError(f'camids must have one entry for each of the {len(feats):,} images, got {len(camids):,}')
    square_norms(feats, 'feats')  # rows are named as the caller knows them, not as rows of a camera
    check_spread(feats)
    return feats, camids


def _rows(rows: np.ndarray, feats: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rows).to(feats.device)


def _nearest(query: torch.Tensor, gallery: torch.Tensor, k: int) -> Neighbours:
    """The k nearest rows of the gallery; rows of it that are equal bit by bit are at the same distance, which products
    alone do not promise (the last columns of a block are summed in another order)."""
    repeated, first = repeated_rows(gallery if gallery.is_cuda else gallery.numpy())
    group = np.arange(len(gallery))
    group[repeated] = first
    distinct, member, sizes = np.unique(group, return_inverse=True, return_counts=True)
    # The built-in search, not FAISS, which does not say which of equally near rows it takes.
    found = nearest_neighbours(query, gallery if not len(repeated) else gallery[_rows(distinct, gallery)],
                               min(k, len(distinct)), backend='builtin')
    found = Neighbours(found.distances.clamp(min=0), found.index)
    if not len(repeated):
        return found
    # Up to k rows of each group, the lowest first; where a group has fewer, a place at infinity.
    width = min(k, int(sizes.max()))
    by_group, starts = np.argsort(member, kind='stable'), np.cumsum(sizes) - sizes
    there = np.arange(width) < sizes[:, None]
    table = np.where(there, by_group[np.minimum(starts[:, None] + np.arange(width), len(gallery) - 1)], len(gallery))
    index = _rows(table, gallery)[found.index].flatten(1)
    distances = torch.where(index < len(gallery), found.distances.repeat_interleave(width, dim=1), torch.inf)
    by_row = index.sort(dim=1)
    nearest = distances.gather(1, by_row.indices).sort(dim=1, stable=True)
    return Neighbours(nearest.values[:, :k].contiguous(), by_row.values.gather(1, nearest.indices)[:, :k])
