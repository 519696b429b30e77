"""What a labeller of unlabelled images takes and gives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch

from mmreid.utils.features import Array, as_matrix, named_rows, square_norms

#: What ``info['reason']`` says where a labeller that selected nothing did not say why.
NOTHING_SELECTED = 'no image is selected'


@dataclass
class PseudoLabels:
    """Labels of N images, in the order of their features; checked when it is made.

    Attributes:
        labels (np.ndarray): Class of each image, int64 ``(N,)``: classes are numbered from 0 without gaps, -1 is none.
        mask (np.ndarray): Whether the image is selected for training, bool ``(N,)``. Each class has at least one
            selected image, so that a classifier of :attr:`num_clusters` outputs learns all of them.
        info (dict): Plain numbers, texts and lists for logs. What every labelling has is filled in: ``num_images``,
            ``num_selected``, ``fraction`` (selected), ``num_clusters``, ``num_unlabelled``, ``cluster_sizes`` and
            ``selected_sizes`` (images of each class), ``cluster_size`` and ``selected_size`` (their minimum, median,
            mean and maximum), ``warnings`` (texts), and, where nothing is selected, ``reason``.
        exemplars (np.ndarray): Row of the image that stands for each class, int64 ``(num_clusters,)``, -1: none, which
            is also the default.

    Raises:
        TypeError: If a type is wrong, or ``info`` has something else than plain values.
        ValueError: If shapes do not fit, a selected image has no label, classes are not numbered from 0 without gaps,
            or one has no selected image.
    """

    labels: np.ndarray
    mask: np.ndarray
    info: dict[str, Any] = field(default_factory=dict)
    exemplars: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        self.labels, self.mask = as_vector(self.labels, 'labels', 'iu'), as_vector(self.mask, 'mask', 'b')
        if self.labels.shape != self.mask.shape:
            raise ValueError(f'labels and mask must have one entry an image, got {self.labels.shape} and '
                             f'{self.mask.shape}')
        classes = np.unique(self.labels)
        if len(classes) and classes[0] < -1:
            raise ValueError(f'labels must be -1 (none) or a class, got {classes[0]}')
        if (self.labels[self.mask] < 0).any():
            raise ValueError(f'selected images must have a label; none in {named_rows(self.mask & (self.labels < 0))}')
        classes = classes[classes >= 0]
        if len(classes) and classes[-1] != len(classes) - 1:
            raise ValueError('classes must be numbered from 0 without gaps (contiguous_labels does that), got '
                             f'{len(classes)} different ones up to {classes[-1]}')
        sizes, selected = (np.bincount(values, minlength=len(classes))
                           for values in (self.labels[self.labels >= 0], self.labels[self.mask]))
        if not selected.all() and len(classes):
            raise ValueError('each class needs a selected image (contiguous_labels leaves others out); there is none '
                             f'in classes {np.flatnonzero(selected == 0)[:10].tolist()}')
        self.exemplars = self._checked_exemplars(len(classes))
        if not isinstance(self.info, Mapping):
            raise TypeError(f'info must be a dict, got {type(self.info).__name__}')
        self.info = {
            'warnings': [],
            **({} if self.mask.any() else {'reason': NOTHING_SELECTED}),
            **{str(key): _plain(value, str(key)) for key, value in self.info.items()},
            'num_images': len(self.labels), 'num_selected': int(self.mask.sum()), 'fraction': self.fraction,
            'num_clusters': len(classes), 'num_unlabelled': int((self.labels < 0).sum()),
            'cluster_size': _spread(sizes), 'selected_size': _spread(selected),
            'cluster_sizes': sizes.tolist(), 'selected_sizes': selected.tolist(),
        }

    @property
    def num_clusters(self) -> int:
        """Number of classes."""
        return len(self.exemplars)

    @property
    def fraction(self) -> float:
        """Share of the images that is selected."""
        return float(self.mask.mean()) if len(self.mask) else 0.

    def _checked_exemplars(self, count: int) -> np.ndarray:
        if self.exemplars is None:
            return np.full(count, -1, dtype=np.int64)
        exemplars = as_vector(self.exemplars, 'exemplars', 'iu')
        if len(exemplars) != count:
            raise ValueError(f'exemplars must have one row a class, {count}, got {len(exemplars)}')
        if len(exemplars) and not -1 <= exemplars.min() <= exemplars.max() < len(self.labels):
            raise ValueError(f'exemplars must be rows below {len(self.labels)} or -1, got values from '
                             f'{exemplars.min()} to {exemplars.max()}')
        return exemplars


class PseudoLabeller(ABC):
    """Gives unlabelled images labels, from their features; registered in ``TASK_UTILS``.

    A subclass implements :meth:`label`; the features are checked before, the result after. It keeps nothing from one
    call to the next, so that a round of training that is done again finds the same labels.

    Example:
        >>> import numpy as np
        >>> from mmreid.pseudo_labels import PseudoLabeller, PseudoLabels, contiguous_labels
        >>> from mmreid.registry import TASK_UTILS
        >>> @TASK_UTILS.register_module()
        ... class SameCorner(PseudoLabeller):
        ...     '''Images whose first channels have the same signs, where they are clearly not zero.'''
        ...
        ...     def __init__(self, num_channels=4, margin=0.1):
        ...         self.num_channels, self.margin = num_channels, margin
        ...
        ...     def label(self, feats, camids):
        ...         first = np.asarray(feats)[:, :self.num_channels]
        ...         corner = (first > 0) @ (2 ** np.arange(first.shape[1]))
        ...         mask = (abs(first) > self.margin).all(axis=1)
        ...         labels, _ = contiguous_labels(corner, mask)
        ...         return PseudoLabels(labels, mask, dict(margin=self.margin))
        >>> labeller = TASK_UTILS.build(dict(type='SameCorner', num_channels=2))
        >>> found = labeller(np.array([[1., -1], [2., -3], [0., 5], [-1., 1]]))
        >>> found.labels.tolist(), found.mask.tolist(), found.info['num_clusters']
        ([0, 0, 1, 1], [True, True, False, True], 2)
    """

    def __call__(self, feats: Array, camids: Optional[Array] = None) -> PseudoLabels:
        """Label images.

        Args:
            feats (np.ndarray | torch.Tensor): Features of shape ``(N, C)``, on the CPU or a CUDA device.
            camids (np.ndarray | torch.Tensor, optional): Cameras, integers of shape ``(N,)``, for labellers that look
                at them. Defaults to None.

        Returns:
            PseudoLabels: Labels, and what is selected.

        Raises:
            ValueError: If a feature is not finite, shapes do not fit, or the labeller cannot label these images.
        """
        feats = as_matrix(feats, 'feats')
        square_norms(feats, 'feats')
        if camids is not None:
            camids = as_vector(camids, 'camids', 'iu')
            if len(camids) != len(feats):
                raise ValueError(f'camids must have one entry for each of the {len(feats):,} images, got {len(camids)}')
        result = self.label(feats, camids)
        if not isinstance(result, PseudoLabels):
            raise TypeError(f'{type(self).__name__}.label must return PseudoLabels, got {type(result).__name__}')
        if len(result.labels) != len(feats):
            raise ValueError(f'{type(self).__name__} must label each of the {len(feats):,} images, '
                             f'got {len(result.labels):,} labels')
        return result

    @abstractmethod
    def label(self, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Label images with finite features ``(N, C)``, float32 or float64: an array, or a tensor where they lie on a
        CUDA device. Cameras are int64 ``(N,)`` or None."""

    def describe(self) -> str:
        """Name and settings for logs."""
        return type(self).__name__


def contiguous_labels(labels: np.ndarray, mask: Optional[np.ndarray] = None) -> tuple[np.ndarray, np.ndarray]:
    """Number clusters from 0 without gaps, in their order; those without a selected image are left out.

    Args:
        labels (np.ndarray): Integers ``(N,)``, negative: none.
        mask (np.ndarray, optional): Selected images, bool ``(N,)``. Defaults to None: all that have a label.

    Returns:
        tuple[np.ndarray, np.ndarray]: New labels, int64 ``(N,)``, -1: none, and the old number of each new one.
    """
    labels = np.asarray(labels)
    chosen = labels >= 0 if mask is None else np.asarray(mask) & (labels >= 0)
    numbers = np.unique(labels[chosen])
    place = np.searchsorted(numbers, labels)
    known = np.append(numbers, -1)[place] == labels
    return np.where(known & (labels >= 0), place, -1).astype(np.int64), numbers


def as_vector(values: Any, name: str, kinds: str) -> np.ndarray:
    """A copy of an array or tensor of one dimension; integers as int64.

    Raises:
        TypeError: If its type is not of the kinds.
        ValueError: If it has another number of dimensions.
    """
    values = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if values.dtype.kind not in kinds:
        raise TypeError(f'{name} must be {"bool" if kinds == "b" else "integers"}, got type {values.dtype}')
    if values.ndim != 1:
        raise ValueError(f'{name} must have shape (N,), got {values.shape}')
    return values.astype(np.bool_ if kinds == 'b' else np.int64)


def _spread(sizes: np.ndarray) -> dict[str, float]:
    """Minimum, median, mean and maximum; zeros where there is no class."""
    sizes = sizes if len(sizes) else np.zeros(1, dtype=np.int64)
    return dict(min=int(sizes.min()), median=float(np.median(sizes)), mean=float(sizes.mean()), max=int(sizes.max()))


def _plain(value: Any, name: str) -> Any:
    """The value without numpy and torch types, fit for a log and for JSON.

    Raises:
        TypeError: If it is something else than numbers, texts, None, and lists and dicts of these.
    """
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f'info[{name!r}] must be plain numbers, texts and lists, got {type(value).__name__}')
