"""The feature of an image as the mean over several views of it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from torch import nn

from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

#: Makes one view ``(N, 3, h, w)`` of a batch ``(N, 3, H, W)``.
View = Callable[[torch.Tensor], torch.Tensor]
#: What ``views`` may name.
NAMED_VIEWS = ('flip', 'ten_crop')


@MODELS.register_module()
class ReIDTTAModel(BaseTTAModel):
    """Test-time augmentation: one forward pass a view, and the mean of the features.

    The batch is loaded and normalised once; the views are cut from it on its device. Features are averaged as the
    module predicts them, before anything normalises them, in float32.

    Checkpoints are those of the wrapped module: :class:`mmreid.engine.ReIDRunner` looks through this wrapper.

    Args:
        module (dict | nn.Module): The model, any whose ``mode='predict'`` gives samples with a ``feature``.
        views (str | Sequence[Callable]): ``'flip'``: the image and its mirror image. ``'ten_crop'``: the four corners
            and the centre of an enlarged image, each with its mirror image, which is the "10-crop" of section 4.2 of
            *Progressive Learning Algorithm for Efficient Person Re-Identification*. Or functions, each a view
            ``(N, 3, H, W) -> (N, 3, h, w)``. Defaults to ``'flip'``.
        crop_size (Sequence[int], optional): ``(height, width)`` of the crops; for ``'ten_crop'`` only, which needs it.

    Raises:
        ValueError: If ``views`` is unknown or empty, or ``crop_size`` is missing or of no use.

    Note:
        Where the pipeline makes the views (mmcv's ``TestTimeAug``, with ``collate_fn=dict(type='pseudo_collate')`` in
        the data loader), those take the place of ``views``.

    Example:
        >>> model = dict(type='ReIDTTAModel', views='ten_crop', crop_size=(256, 128), module=dict(type='EmbeddingNet'))
    """

    def __init__(self,
                 module: dict | nn.Module,
                 views: str | Sequence[View] = 'flip',
                 crop_size: Sequence[int] | None = None) -> None:
        # Built here: mmengine builds in its own registry, which knows mmreid's names inside a runner only.
        super().__init__(MODELS.build(module) if isinstance(module, dict) else module)
        self.views = _resolve(views, crop_size)

    def test_step(self, data: dict[str, Any]) -> list[ReIDDataSample]:
        """Samples of a batch with the mean feature of the views of each image."""
        if isinstance(data['inputs'][0], (list, tuple)):  # the pipeline made the views
            return super().test_step(data)
        batch = self.module.data_preprocessor(data, False)
        images = batch['inputs']
        last = images.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        total = samples = None
        for view in self.views:
            # Crops and flips have strides of their own; convolutions want those of the batch.
            inputs = view(images).contiguous(memory_format=layout)
            predicted = self.module(**{**batch, 'inputs': inputs}, mode='predict')
            feats = torch.stack([sample.feature.float() for sample in predicted])
            # The next view may write into the same samples, so features are taken out after each.
            total, samples = (feats, predicted) if total is None else (total + feats, samples)
        return [sample.set_feature(feat) for sample, feat in zip(samples, total / len(self.views), strict=True)]

    val_step = test_step

    def merge_preds(self, data_samples_list: Sequence[Sequence[ReIDDataSample]]) -> list[ReIDDataSample]:
        """The first view's sample of every image, with the mean feature of the views.

        Args:
            data_samples_list (Sequence[Sequence[ReIDDataSample]]): For each image the predicted samples of its views.
        """
        return [views[0].set_feature(torch.stack([sample.feature.float() for sample in views]).mean(0))
                for views in data_samples_list]


class Crop:
    """A view: one region of every image.

    Args:
        size (tuple[int, int]): ``(height, width)`` of the region.
        place (tuple[float, float]): Where it lies, ``(down, right)``: 0 is the top or left edge, 1 the bottom or right
            one, 0.5 the centre (rounded towards the top left).

    Raises:
        ValueError: When called, if the images are not larger than the region.
    """

    def __init__(self, size: tuple[int, int], place: tuple[float, float]) -> None:
        self.size, self.place = size, place

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        (height, width), (h, w) = images.shape[-2:], self.size
        if height < h or width < w or (height, width) == (h, w):
            raise ValueError(
                f'crop_size is {h} x {w} (height x width) and the images of the test pipeline are {height} x {width}: '
                'they must be larger. Enlarge the Resize of the test pipeline, by 1.125 as in the paper with '
                f'dict(type="Resize", scale=({round(1.125 * w)}, {round(1.125 * h)})) (width, height), or lower '
                'crop_size. tools/test.py --tta ten_crop does both.')
        top, left = int((height - h) * self.place[0]), int((width - w) * self.place[1])
        return images[..., top:top + h, left:left + w]


def mirror(images: torch.Tensor) -> torch.Tensor:
    """A view: the images mirrored left to right."""
    return images.flip(-1)


def _resolve(views: str | Sequence[View], crop_size: Sequence[int] | None) -> list[View]:
    """Functions that make the views."""
    if (views == 'ten_crop') != (crop_size is not None):
        raise ValueError(f"crop_size=(height, width) is what views='ten_crop' needs, and nothing else takes; got "
                         f'views={views!r} and crop_size={crop_size}')
    if views == 'flip':
        return [_same, mirror]
    if views == 'ten_crop':
        crop_size = tuple(crop_size)
        if len(crop_size) != 2 or not all(isinstance(n, int) and n > 0 for n in crop_size):
            raise ValueError(f'crop_size must be (height, width) in pixels, got {crop_size}')
        crops = [Crop(crop_size, place) for place in ((0, 0), (0, 1), (1, 0), (1, 1), (.5, .5))]
        return crops + [lambda images, crop=crop: mirror(crop(images)) for crop in crops]
    if isinstance(views, str) or not views or not all(map(callable, views)):
        raise ValueError(f'views must be one of {", ".join(NAMED_VIEWS)} or a list of functions of a batch, got '
                         f'{views!r}')
    return list(views)


def _same(images: torch.Tensor) -> torch.Tensor:
    return images
