"""Pack a record for the model."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmreid.registry import TRANSFORMS
from mmreid.structures import ReIDDataSample


@TRANSFORMS.register_module()
class PackReIDInputs(BaseTransform):
    """Turn a record into ``dict(inputs=..., data_samples=...)``.

    ``inputs`` is a uint8 tensor of shape ``(3, H, W)``, channels in the order of ``img`` (BGR): the data preprocessor
    converts and normalises. ``data_samples`` is a :class:`ReIDDataSample` with ``gt_label`` where the record has one.

    Args:
        meta_keys (Sequence[str]): Keys of the record that become meta information, where present. Defaults to
            :attr:`ReIDDataSample.META_KEYS`.

    Raises:
        KeyError: If there is no ``img``: the pipeline lacks ``LoadImage``.
        TypeError: If ``img`` is not uint8: normalisation belongs to the data preprocessor.
    """

    def __init__(self, meta_keys: Sequence[str] = ReIDDataSample.META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack."""
        if 'img' not in results:
            raise KeyError('PackReIDInputs: the record has no "img"; LoadImage must come first in the pipeline')
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3:
            raise TypeError('PackReIDInputs needs a uint8 image of shape (H, W, C), got '
                            f'{image.dtype} {tuple(image.shape)}')
        if image.strides[1] < 0:
            # A mirrored view: OpenCV mirrors into memory many times faster than numpy copies against its direction.
            image = cv2.flip(image[:, ::-1], 1)
        # The image is not turned round: the collation stacks it as it is, in the layout that convolutions want.
        inputs = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        sample = ReIDDataSample()
        for key in self.meta_keys:
            if key in results:
                sample.set_field(results[key], key, field_type='metainfo')
        if 'gt_label' in results:
            sample.set_gt_label(results['gt_label'])
        return dict(inputs=inputs, data_samples=sample)

    def __repr__(self) -> str:
        return f'PackReIDInputs(meta_keys={self.meta_keys})'
