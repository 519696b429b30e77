"""What is known about one image, and what a model predicted for it."""

from typing import Optional, Union

import torch
from mmengine.structures import BaseDataElement


class ReIDDataSample(BaseDataElement):
    """Annotation and prediction of one person image.

    Meta information (set with :meth:`set_metainfo`): ``img_path`` (str), ``pid`` (int, the raw identity of the
    dataset; -1 is junk, 0 a distractor in Market-1501), ``camid`` (int), ``domain`` (int, which dataset of a merged
    one), ``split`` (``'train'``, ``'query'``, ``'gallery'`` or ``'multi_query'``), ``sample_idx`` (int, the row in the
    dataset) and, where labels are laid over images, ``label_source`` (``'true'`` or ``'pseudo'``).

    Data: ``gt_label`` (int64 scalar tensor, the contiguous class index used in training; never the raw identity) and,
    after prediction, ``feature`` (float32 tensor of shape ``(C,)``).

    Example:
        >>> sample = ReIDDataSample(metainfo=dict(pid=7, camid=1, split='query')).set_gt_label(3)
        >>> int(sample.gt_label), sample.pid
        (3, 7)
    """

    #: Meta keys a dataset record may carry.
    META_KEYS = ('img_path', 'pid', 'camid', 'domain', 'split', 'sample_idx', 'label_source')

    def set_gt_label(self, value: Union[int, torch.Tensor]) -> 'ReIDDataSample':
        """Set the contiguous class index of the image (-1: none)."""
        self.set_field(torch.as_tensor(value, dtype=torch.int64).reshape(()), 'gt_label', dtype=torch.Tensor)
        return self

    def set_feature(self, value: torch.Tensor) -> 'ReIDDataSample':
        """Set the predicted feature vector of shape ``(C,)``.

        Raises:
            ValueError: If ``value`` is not one-dimensional.
        """
        if value.dim() != 1:
            raise ValueError(f'feature must have shape (C,), got {tuple(value.shape)}')
        self.set_field(value, 'feature', dtype=torch.Tensor)
        return self

    @property
    def label(self) -> Optional[int]:
        """Class index as a Python int, or None if the sample has none."""
        return int(self.gt_label) if 'gt_label' in self else None
