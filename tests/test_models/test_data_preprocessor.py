import pytest
import torch

from mmreid.models import ReIDDataPreprocessor
from mmreid.structures import ReIDDataSample

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def expected(image):
    """Pixel values of one BGR image, channel by channel."""
    rgb = (image[2], image[1], image[0])
    return torch.stack([(c.float() - m) / s for c, m, s in zip(rgb, MEAN, STD, strict=True)])


@pytest.mark.parametrize('channels_last', [True, False])
@pytest.mark.parametrize('kind', [list, torch.stack])
def test_normalises(kind, channels_last):
    images = [torch.randint(0, 256, (3, 8, 4), dtype=torch.uint8) for _ in range(3)]
    copies = [image.clone() for image in images]
    samples = [ReIDDataSample() for _ in images]
    out = ReIDDataPreprocessor(channels_last=channels_last)(dict(inputs=kind(images), data_samples=samples), True)
    torch.testing.assert_close(out['inputs'], torch.stack([expected(image) for image in images]))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert out['inputs'].is_contiguous(memory_format=layout) and out['inputs'].dtype == torch.float32
    assert out['data_samples'] is samples
    assert all(torch.equal(a, b) for a, b in zip(images, copies, strict=True))


def test_float_images_are_not_changed_in_place():
    image = torch.rand(1, 3, 8, 4) * 255
    copied = image.clone()
    out = ReIDDataPreprocessor(bgr_to_rgb=False, channels_last=False)(dict(inputs=image))
    assert torch.equal(image, copied) and out['data_samples'] is None
    torch.testing.assert_close(out['inputs'][0], expected(image[0].flip(0)))


def test_differing_sizes_name_the_files():
    images = [torch.zeros(3, 8, 4, dtype=torch.uint8)] * 2 + [torch.zeros(3, 9, 4, dtype=torch.uint8)]
    samples = [ReIDDataSample(metainfo=dict(img_path=f'{name}.jpg')) for name in 'abc']
    with pytest.raises(ValueError, match=r'most are \(3, 8, 4\), 1 differ: c.jpg \(3, 9, 4\).*Resize'):
        ReIDDataPreprocessor()(dict(inputs=images, data_samples=samples))
    with pytest.raises(ValueError, match=r'image 2 \(3, 9, 4\)'):
        ReIDDataPreprocessor()(dict(inputs=images))


def test_bad_channels_and_arguments():
    with pytest.raises(ValueError, match=r'\(3, H, W\).*\(2, 1, 8, 4\)'):
        ReIDDataPreprocessor()(dict(inputs=[torch.zeros(1, 8, 4)] * 2))
    with pytest.raises(ValueError, match='positive'):
        ReIDDataPreprocessor(std=(1, 0, 1))


def test_has_nothing_to_store():
    assert ReIDDataPreprocessor().state_dict() == {}
