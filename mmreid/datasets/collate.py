"""From samples to a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate

from mmreid.registry import FUNCTIONS


@FUNCTIONS.register_module()
def reid_collate(samples: Sequence[dict]) -> dict[str, Any]:
    """Stack the images of a batch, and keep everything else as lists.

    A loading process hands each tensor over by itself, so one tensor a batch is faster than one an image.
    Images of different sizes stay a list; the data preprocessor then names the odd ones.

    Args:
        samples (Sequence[dict]): What the pipeline gives: ``inputs`` ``(3, H, W)`` and ``data_samples``.

    Returns:
        dict: ``inputs`` ``(N, 3, H, W)`` and ``data_samples``, a list of N.
    """
    batch = pseudo_collate(samples)
    images = batch['inputs']
    if len({image.shape for image in images}) == 1:
        batch['inputs'] = torch.stack(images)
    return batch
