"""From a list of images to a normalised batch on the device of the model."""

from collections import Counter
from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor

from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample


@MODELS.register_module()
class ReIDDataPreprocessor(BaseDataPreprocessor):
    """Stack, move and normalise images; the same in training and evaluation.

    Images travel to the device as they come (uint8, a quarter of the size) and are converted there. Data samples stay
    on the CPU: heads look at labels before they move them, without waiting for the device.

    Args:
        mean (Sequence[float]): Mean of each channel, for values 0 to 255. Defaults to ImageNet's, in RGB order.
        std (Sequence[float]): Standard deviation likewise.
        bgr_to_rgb (bool): Turn the channels of the images round before they are normalised. Defaults to True.
        channels_last (bool): Lay the batch out in channels-last memory format. Defaults to True.

    Shape:
        ``dict(inputs=N images (3, H, W) or a tensor (N, 3, H, W), data_samples=...)`` ->
        ``dict(inputs=(N, 3, H, W) float32, data_samples=...)``.

    Raises:
        ValueError: If images do not have three channels, or differ in size (their files are named).
    """

    def __init__(self,
                 mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375),
                 bgr_to_rgb: bool = True,
                 channels_last: bool = True) -> None:
        super().__init__(non_blocking=True)
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f'mean and std need three values each, those of std positive; got {mean} and {std}')
        self.bgr_to_rgb = bgr_to_rgb
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare what a dataloader gives; ``training`` changes nothing."""
        samples = data.get('data_samples')
        batch = self._stack(data['inputs'], samples)
        if self.bgr_to_rgb:
            batch = batch.flip(1)
        batch = batch.to(torch.float32, memory_format=self.memory_format, copy=True)
        return dict(inputs=batch.sub_(self.mean).div_(self.std), data_samples=samples)

    def _stack(self, images: torch.Tensor | Sequence[torch.Tensor],
               samples: Sequence[ReIDDataSample] | None) -> torch.Tensor:
        if not isinstance(images, torch.Tensor):
            if len({image.shape for image in images}) > 1:
                raise ValueError(_differing_sizes(images, samples))
            images = torch.stack(list(images))  # before the transfer: one copy to the device instead of N
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f'images must have shape (3, H, W), stacked (N, 3, H, W); got {tuple(images.shape)}')
        return self.cast_data(images)


def _differing_sizes(images: Sequence[torch.Tensor], samples: Sequence[ReIDDataSample] | None) -> str:
    shapes = [tuple(image.shape) for image in images]
    usual = Counter(shapes).most_common(1)[0][0]
    odd = [(i, shape) for i, shape in enumerate(shapes) if shape != usual]
    named = ', '.join(f'{samples[i].get("img_path") if samples else f"image {i}"} {shape}' for i, shape in odd[:5])
    return (f'images of a batch must have one size; most are {usual}, {len(odd)} differ: {named}. The pipeline needs a '
            'transform that fixes the size, such as dict(type="Resize", scale=(128, 256)) (width, height).')
