import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmreid.datasets import ImageReadError, LoadImage, PackReIDInputs
from mmreid.registry import TRANSFORMS


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (20, 10, 3), dtype=np.uint8)


def record(image, **extra):
    return dict(img=image.copy(), img_path='a.jpg', pid=7, camid=2, domain=0, split='train', sample_idx=5, **extra)


def test_load_reads_the_file(tmp_path, image):
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    results = LoadImage()(dict(img_path=str(tmp_path / 'a.png')))
    assert np.array_equal(results['img'], image)
    assert results['img_shape'] == results['ori_shape'] == (20, 10)


def test_load_keeps_pixels_that_are_there(image):
    assert np.array_equal(LoadImage()(dict(img_path='none.png', img=image))['img'], image)


def test_load_names_a_missing_file():
    with pytest.raises(ImageReadError, match='none.png'):
        LoadImage()(dict(img_path='none.png'))


def test_mirrored_views_are_packed_as_they_look(image):
    packed = PackReIDInputs()(record(image[:, ::-1]))['inputs']
    assert np.array_equal(packed.permute(1, 2, 0).numpy(), image[:, ::-1]) and packed.permute(1, 2, 0).is_contiguous()


def test_pack_layout(image):
    packed = PackReIDInputs()(record(image, gt_label=3))
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.dtype == torch.uint8 and inputs.shape == (3, 20, 10) and inputs.permute(1, 2, 0).is_contiguous()
    assert np.array_equal(inputs[1].numpy(), image[:, :, 1])
    assert (sample.img_path, sample.pid, sample.camid, sample.domain, sample.split, sample.sample_idx) == \
        ('a.jpg', 7, 2, 0, 'train', 5)
    assert sample.label == 3


def test_pack_without_label(image):
    assert PackReIDInputs()(record(image))['data_samples'].label is None


def test_packed_pixels_do_not_follow_the_image(image):
    data = record(image)
    inputs = PackReIDInputs()(data)['inputs'].clone()
    data['img'][:] = 0
    assert torch.equal(PackReIDInputs()(record(image))['inputs'], inputs)


def test_pack_errors(image):
    with pytest.raises(KeyError, match='LoadImage'):
        PackReIDInputs()(dict(img_path='a.jpg'))
    with pytest.raises(TypeError, match='float32'):
        PackReIDInputs()(record(image.astype(np.float32)))
    with pytest.raises(TypeError, match='uint8'):
        PackReIDInputs()(record(image[:, :, 0]))


@pytest.mark.parametrize('settings, shape', [
    (dict(type='Resize', scale=(16, 32)), (32, 16)),  # scale is (width, height)
    (dict(type='RandomFlip', prob=1.0), (20, 10)),
    (dict(type='Pad', size=(14, 30)), (30, 14)),
    (dict(type='mmpretrain.RandomCrop', crop_size=(20, 10), padding=4), (20, 10)),  # crop_size is (height, width)
    (dict(type='mmpretrain.RandomErasing', erase_prob=1.0, fill_color=(103.53, 116.28, 123.675)), (20, 10)),
])
def test_transforms_of_other_packages_work_in_the_scope_of_mmreid(image, settings, shape):
    with DefaultScope.overwrite_default_scope('mmreid'):
        pipeline = Compose([dict(type='LoadImage'), settings, dict(type='PackReIDInputs')])
    packed = pipeline(record(image))
    assert packed['inputs'].shape == (3, *shape) and packed['inputs'].dtype == torch.uint8


def test_flip_mirrors(image):
    flipped = TRANSFORMS.build(dict(type='RandomFlip', prob=1.0))(record(image))['img']
    assert np.array_equal(flipped, image[:, ::-1])


def test_erasing_fills_with_the_colour_given(image):
    erase = TRANSFORMS.build(dict(type='mmpretrain.RandomErasing', erase_prob=1.0, fill_color=(1, 2, 3)))
    erased = erase(record(np.full_like(image, 200)))['img'].reshape(-1, 3)
    assert set(map(tuple, erased.tolist())) == {(200, 200, 200), (1, 2, 3)}
