"""The mean feature over views, against views cut by hand."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from mmreid.datasets import reid_collate
from mmreid.models import ReIDTTAModel
from mmreid.registry import MODELS, TRANSFORMS
from mmreid.structures import ReIDDataSample

NETWORK = dict(
    type='EmbeddingNet',
    backbone=dict(type='ResNetTaps', depth=18),
    neck=dict(type='ReductionNeck', in_channels=512, feat_channels=8))


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return MODELS.build(NETWORK).eval()


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def samples(number):
    return [ReIDDataSample(metainfo=dict(pid=n, camid=n % 2, img_path=f'{n}.jpg')).set_gt_label(n)
            for n in range(number)]


def batch(number=3, size=(36, 18)):
    images = torch.randint(0, 256, (number, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return dict(inputs=images, data_samples=samples(number))


def features(model, data):
    return torch.stack([sample.feature for sample in model.test_step(data)])


def wrap(network, **options):
    return MODELS.build(dict(type='ReIDTTAModel', module=network, **options)).eval()


def test_flip_is_the_mean_of_image_and_mirror_image(network):
    data = batch()
    mirrored = dict(inputs=torch.from_numpy(data['inputs'].numpy()[..., ::-1].copy()), data_samples=samples(3))
    expected = (features(network, batch()) + features(network, mirrored)) / 2
    torch.testing.assert_close(features(wrap(network), data), expected)
    assert not torch.allclose(features(network, batch()), expected)


def test_a_symmetric_image_keeps_its_feature(network):
    data = batch()
    data['inputs'][..., 9:] = data['inputs'][..., :9].flip(-1)
    torch.testing.assert_close(features(wrap(network), data), features(network, data))


@pytest.mark.parametrize('size', [(36, 18), (37, 16)])
def test_ten_crop(network, size):
    """Corners and centre sliced here from the ends of the axes; a margin that is odd leaves one more below."""
    data, (h, w) = batch(size=size), (32, 16)
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    image = data['inputs'].numpy()
    crops = [image[:, :, :h, :w], image[:, :, :h, -w:], image[:, :, -h:, :w], image[:, :, -h:, -w:],
             image[:, :, top:top + h, left:left + w]]
    views = [torch.from_numpy(view.copy()) for crop in crops for view in (crop, crop[:, :, :, ::-1])]
    assert {view.shape for view in views} == {(3, 3, h, w)}
    each = [features(network, dict(inputs=view, data_samples=samples(3))) for view in views]
    got = features(wrap(network, views='ten_crop', crop_size=(h, w)), data)
    torch.testing.assert_close(got, sum(each) / 10)
    if size == (36, 18):
        assert len({tuple(feats[0].tolist()) for feats in each}) == 10


def test_one_forward_a_view_and_one_normalisation(network):
    passes, prepared = [], []
    handles = [network.register_forward_pre_hook(lambda module, args, kwargs: passes.append(kwargs['inputs']),
                                                 with_kwargs=True),
               network.data_preprocessor.register_forward_pre_hook(lambda module, args: prepared.append(1))]
    views = [lambda x: x, lambda x: x * 2, lambda x: x[..., ::2, :], lambda x: x.flip(-1)]
    for options, number in ((dict(views='flip'), 2), (dict(views='ten_crop', crop_size=[32, 16]), 10),
                            (dict(views=views), 4)):
        passes.clear(), prepared.clear()
        wrap(network, **options).test_step(batch())
        assert len(passes) == number and len(prepared) == 1
        assert all(seen.is_contiguous(memory_format=torch.channels_last) for seen in passes)
    for handle in handles:
        handle.remove()


def test_samples_are_kept_and_not_multiplied(network):
    data = batch(number=4)
    model = wrap(network, views='ten_crop', crop_size=(32, 16))
    for step in (model.test_step, model.val_step):
        results = step(data)
        assert all(result is sample for result, sample in zip(results, data['data_samples'], strict=True))
    assert [(s.pid, s.camid, s.img_path, s.label) for s in results] == [(n, n % 2, f'{n}.jpg', n) for n in range(4)]
    assert results[0].feature.shape == (8, ) and results[0].feature.dtype == torch.float32
    torch.testing.assert_close(features(model, dict(inputs=list(data['inputs']))), features(model, data))


def test_a_layout_of_the_other_kind_is_kept():
    seen = []

    class Contiguous(nn.Module):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            seen.append(inputs)
            return [ReIDDataSample().set_feature(image.double().mean((1, 2))) for image in inputs]

        def test_step(self, data):
            raise AssertionError('the views are made from one batch')

    module = Contiguous()
    module.data_preprocessor = MODELS.build(dict(type='ReIDDataPreprocessor', channels_last=False))
    result = ReIDTTAModel(module, 'ten_crop', (32, 16)).test_step(batch())
    assert len(seen) == 10 and all(view.is_contiguous() for view in seen)
    assert len(result) == 3 and result[0].feature.dtype == torch.float32


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_under_autocast_the_mean_is_float32(network, dtype):
    data = batch()
    with torch.autocast('cpu', dtype=dtype):
        got = features(wrap(network), data)
        single = [features(network, dict(inputs=view, data_samples=samples(3)))
                  for view in (data['inputs'], data['inputs'].flip(-1))]
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, (single[0] + single[1]) / 2, rtol=0, atol=0)
    assert not torch.equal(got, got.to(dtype).float())  # a mean in the reduced type would have been rounded


def test_views_made_by_the_pipeline(network):
    """mmcv's TestTimeAug: the two views of every image arrive as separate samples."""
    with DefaultScope.overwrite_default_scope('mmreid'):
        augment = TRANSFORMS.build(dict(type='TestTimeAug', transforms=[
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)], [dict(type='PackReIDInputs')]]))
    data = batch()
    rows = [augment(dict(img=image.permute(1, 2, 0).numpy(), pid=n, camid=0, img_path=f'{n}.jpg', sample_idx=n,
                         split='query', domain=0)) for n, image in enumerate(data['inputs'])]
    collated = pseudo_collate(rows)
    assert len(collated['inputs']) == 2 and len(collated['inputs'][0]) == 3
    model = wrap(network)
    torch.testing.assert_close(features(model, collated), features(model, reid_collate(
        [dict(inputs=image, data_samples=sample) for image, sample in zip(data['inputs'], samples(3))])))
    assert [sample.pid for sample in model.test_step(collated)] == [0, 1, 2]


def test_merge_preds():
    one, two, three = (ReIDDataSample(metainfo=dict(pid=5)).set_feature(torch.tensor(values, dtype=dtype))
                       for values, dtype in (([1., 2.], torch.float32), ([3., 6.], torch.float16),
                                             ([5., 1.], torch.float32)))
    merged = wrap(MODELS.build(NETWORK)).merge_preds([(one, two, three), (two, )])
    assert merged[0].feature.tolist() == [3., 3.] and merged[0].pid == 5
    assert merged[1].feature.tolist() == [3., 6.] and merged[1].feature.dtype == torch.float32


@pytest.mark.parametrize('options, message', [
    (dict(views='flop'), "one of flip, ten_crop or a list of functions.*'flop'"),
    (dict(views=[]), 'list of functions'),
    (dict(views=['flip']), 'list of functions'),
    (dict(views='ten_crop'), r"crop_size=\(height, width\) is what views='ten_crop' needs"),
    (dict(views='flip', crop_size=(32, 16)), 'nothing else takes'),
    (dict(views='ten_crop', crop_size=(32, )), 'must be .height, width. in pixels'),
    (dict(views='ten_crop', crop_size=(32, 0)), 'must be .height, width. in pixels'),
])
def test_bad_options(network, options, message):
    with pytest.raises(ValueError, match=message):
        wrap(network, **options)


@pytest.mark.parametrize('size', [(32, 16), (40, 15), (31, 20)])
def test_too_small_images(network, size):
    model = wrap(network, views='ten_crop', crop_size=(32, 16))
    with pytest.raises(ValueError, match=rf'crop_size is 32 x 16.*{size[0]} x {size[1]}.*scale=\(18, 36\)'):
        model.test_step(batch(size=size))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_fp16():
    torch.manual_seed(0)
    model = wrap(MODELS.build(NETWORK), views='ten_crop', crop_size=(32, 16))
    expected = features(model, batch())
    model = model.cuda()
    with torch.autocast('cuda', dtype=torch.float16):
        got = features(model, batch())
    assert got.is_cuda and got.dtype == torch.float32
    torch.testing.assert_close(got.cpu(), expected, rtol=0.02, atol=0.02)
