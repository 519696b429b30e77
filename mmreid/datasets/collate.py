"""From samples to a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import get_worker_info

from mmreid.registry import FUNCTIONS
from mmreid.structures import ReIDDataSample


@FUNCTIONS.register_module()
def reid_collate(samples: Sequence[dict]) -> dict[str, Any]:
    """Stack the images of a batch, and keep everything else as lists.

    A loading process hands each tensor over by itself, so one tensor a batch is faster than one an image, and samples
    travel as :class:`SampleList`. Images keep the layout in which they come (``PackReIDInputs`` leaves that of OpenCV,
    channels last). Images of different sizes stay a list; the data preprocessor then names the odd ones.

    Args:
        samples (Sequence[dict]): What the pipeline gives: ``inputs`` ``(3, H, W)`` and ``data_samples``.

    Returns:
        dict: ``inputs`` ``(N, 3, H, W)`` and ``data_samples``, a list of N.
    """
    batch = pseudo_collate(samples)
    images = batch['inputs']
    if isinstance(images[0], torch.Tensor) and len({image.shape for image in images}) == 1:
        batch['inputs'] = _stack(images)
    if 'data_samples' in batch:
        batch['data_samples'] = SampleList(batch['data_samples'])
    return batch


def _stack(images: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack without turning a single image round."""
    turned = [image.permute(1, 2, 0) for image in images] if images[0].dim() == 3 else []
    if turned and all(image.is_contiguous() for image in turned):
        return torch.stack(turned, out=_shared(turned)).permute(0, 3, 1, 2)
    return torch.stack(list(images), out=_shared(images))


def _shared(images: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """In a loading process, room for the batch in memory that the main process shares: it need not be copied there."""
    if get_worker_info() is None:
        return None
    first = images[0]
    storage = first.untyped_storage()._new_shared(first.nbytes * len(images), device=first.device)
    return first.new(storage).resize_(len(images), *first.shape)


class SampleList(list):
    """Data samples of a batch, pickled as columns of plain values.

    A tensor that passes from a loading process to the main one takes a file descriptor and a block of shared memory, so
    the labels of a batch would cost more than its images.
    """

    def __reduce__(self) -> tuple:
        plain = all(type(sample) is ReIDDataSample and set(sample.keys()) <= {'gt_label'} for sample in self)
        keys = {tuple(sample.metainfo_keys()) for sample in self} if plain else ()
        if len(keys) != 1:
            return SampleList, (list(self), )
        names = keys.pop()
        columns = [[sample.get(name) for sample in self] for name in names]
        return _unpacked, (names, columns, [sample.label for sample in self])


def _unpacked(names: Sequence[str], columns: list[list], labels: list[int | None]) -> SampleList:
    """The samples of :class:`SampleList` from its columns."""
    samples = SampleList()
    for row, label in enumerate(labels):
        sample = ReIDDataSample()
        for name, column in zip(names, columns):
            sample.set_field(column[row], name, field_type='metainfo')
        samples.append(sample if label is None else sample.set_gt_label(label))
    return samples
