"""The tool that draws the responses of the first convolutions of two networks."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn import functional as F

from mmreid.registry import MODELS
from mmreid.visualization import SheetLayout

ROOT = Path(__file__).parents[2]
BACKBONES = dict(
    googlenet=(dict(type='GoogLeNet'), 'conv1.conv', 'conv1.bn'),
    original=(dict(type='GoogLeNet', batch_norm=False), 'conv1.conv', None),
    dgdnet=(dict(type='DGDNet'), 'conv1.conv', 'conv1.bn'),
    resnet=(dict(type='ResNetTaps', depth=18), 'conv1', 'bn1'),
    densenet=(dict(type='DenseNetTaps', depth=121), 'features.conv0', 'features.norm0'))


@pytest.fixture(scope='module')
def tool():
    init_default_scope('mmreid')
    path = ROOT / 'tools' / 'visualization' / 'feature_maps.py'
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def network(tmp_path):
    """Write config and checkpoint of a backbone: name, seed -> their paths."""

    def make(name, seed=0):
        backbone, _, norm = BACKBONES[name]
        pipeline = [dict(type='LoadImage'), dict(type='Resize', scale=(48, 64)), dict(type='PackReIDInputs')]
        config, checkpoint = tmp_path / f'{name}_{seed}.py', tmp_path / f'{name}_{seed}.pth'
        Config(dict(model=dict(type='EmbeddingNet', backbone=backbone),
                    test_dataloader=dict(dataset=dict(type='SyntheticReID', pipeline=pipeline)))).dump(config)
        torch.manual_seed(seed)
        net = MODELS.build(backbone)
        if norm:
            nn.init.normal_(net.get_submodule(norm).running_mean)
            nn.init.uniform_(net.get_submodule(norm).weight, 0.5, 1.5)
        state = {f'backbone.{key}': value for key, value in net.state_dict().items()}
        torch.save(dict(state_dict={**state, 'heads.id.classifier.bias': torch.zeros(3)}), checkpoint)
        return str(config), str(checkpoint)

    return make


def picture(height=40, width=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('name', sorted(BACKBONES))
def test_responses_are_those_of_the_first_convolution(tool, network, name):
    config, checkpoint = network(name)
    image, (_, conv, norm) = picture(), BACKBONES[name]
    state = torch.load(checkpoint)['state_dict']
    x = torch.from_numpy(cv2.resize(image, (48, 64))[:, :, ::-1].copy()).permute(2, 0, 1).float()[None] / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    if name == 'googlenet':  # its input is rescaled
        scale, shift = torch.tensor([0.458, 0.448, 0.45]), torch.tensor([-0.03, -0.088, -0.188])
        x = x * scale.view(3, 1, 1) + shift.view(3, 1, 1)
    weight = state[f'backbone.{conv}.weight']
    stride = 1 if name == 'dgdnet' else 2
    expected = F.conv2d(x, weight, state.get(f'backbone.{conv}.bias'), stride, weight.shape[-1] // 2)
    if norm:
        of = {key: state[f'backbone.{norm}.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias')}
        eps = 0.001 if name == 'googlenet' else 1e-5
        expected = F.batch_norm(expected, **of, eps=eps)
    own = tool.first_responses(tool.load_network('A', config, checkpoint), image)
    torch.testing.assert_close(torch.from_numpy(own), expected[0].relu(), rtol=1e-4, atol=1e-4)
    assert own.max() > 0.1 and (own == 0).mean() > 0.001


def test_the_convolution_that_runs_first_counts(tool):
    """Not the one that was written down first; and a norm that reads something else does not belong to it."""

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.norm, self.first = nn.Conv2d(2, 5, 1), nn.BatchNorm2d(2), nn.Conv2d(3, 2, 1, bias=False)

        def forward(self, x):
            return self.last(self.norm(2 * self.first(x)))

    backbone = Turned().eval()
    net = tool.Network('A', backbone, MODELS.build(dict(type='ReIDDataPreprocessor')),
                       tool.Compose([dict(type='PackReIDInputs')]))
    own, image = tool.first_responses(net, picture(4, 3)), picture(4, 3)
    x = net.preprocessor(dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)]))['inputs']
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(own), backbone.first(x)[0].relu())
    assert not backbone.first._forward_hooks and not backbone.norm._forward_hooks
    net.backbone = nn.Identity()
    with pytest.raises(ValueError, match='no convolution ran in the backbone of A, Identity'):
        tool.first_responses(net, image)


def test_choice_of_channels(tool):
    """By the standard deviation within an image, not by brightness or by differences between images."""
    flat, weak, strong = np.full((2, 2), 9.), np.array([[0, 1.], [0, 1]]), np.array([[0, 3.], [3, 0]])
    images = [np.stack([flat, weak, strong]), np.stack([flat * 5, weak, strong])]
    assert tool.choose_channels(images, 2) == [2, 1] and tool.choose_channels(images, 0) == []


def test_one_scale_for_a_column(tool):
    dark, bright = np.full((2, 2), 1.), np.full((3, 2), 4.)
    a, b = tool.coloured([dark, bright], [picture(6, 4), picture(5, 9)])
    assert a.shape == (6, 4, 3) and b.shape == (5, 9, 3)
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_VIRIDIS)[0]
    assert (a == scale[64]).all() and (b == scale[255]).all()
    zero, = tool.coloured([np.zeros((2, 2))], [picture(2, 2)])
    assert (zero == scale[0]).all()


def test_picture_of_two_networks(tool, network, tmp_path, capfd):
    out = tmp_path / 'new' / 'maps.png'
    tool.main([*network('googlenet'), *network('dgdnet'), '--out', str(out), '--names', 'G', 'D',
               '--num-channels', '3', '--channels-b', '31', '0'])
    printed = capfd.readouterr().out
    assert 'G: GoogLeNet, 64 channels of 32 x 24' in printed and 'D: DGDNet, 32 channels of 64 x 48' in printed
    assert 'shown: [31, 0]' in printed and str(out) in printed
    sheet = cv2.imread(str(out))
    layout = SheetLayout(rows=4, columns=1 + 1 + 3 + 1 + 2)
    assert sheet.shape == (*layout.size, 3)
    top, left = layout.corner(2, 0)
    drawn = tool.SyntheticReID(num_train_pids=2, num_cams=2, num_images=1, cache=False).get_image(2)
    assert np.array_equal(sheet[top:top + 128, left:left + 64], drawn)


def test_given_images_in_their_own_shape(tool, network, tmp_path):
    for number, size in enumerate(((60, 30), (30, 60))):
        cv2.imwrite(str(tmp_path / f'{number}.png'), picture(*size))
    same = network('resnet')
    tool.main([*same, *same, *(str(tmp_path / f'{n}.png') for n in (0, 1)), '--out', str(tmp_path / 'maps.png'),
               '--num-channels', '0', '--image-size', '60', '60'])
    sheet = cv2.imread(str(tmp_path / 'maps.png'))
    layout = SheetLayout(2, 3, image_size=(60, 60))
    assert sheet.shape == (*layout.size, 3)
    slots = [[sheet[top:top + 60, left:left + 60] for top, left in (layout.corner(row, column) for column in range(3))]
             for row in range(2)]
    for row in slots:
        assert np.array_equal(row[1], row[2]) and not np.array_equal(row[0], row[1])  # one network twice
    assert (slots[0][1][:, :15] == 255).all() and (slots[1][1][:15] == 255).all()  # upright and lying, not distorted


def test_mistakes_are_one_line(tool, network, tmp_path):
    config, checkpoint = network('resnet')
    other = network('dgdnet')[1]
    bare = tmp_path / 'bare.py'
    bare.write_text('a = 1')
    no_test = tmp_path / 'no_test.py'
    no_test.write_text("model = dict(type='EmbeddingNet', backbone=dict(type='ResNetTaps', depth=18))")
    out = ['--out', str(tmp_path / 'maps.png')]
    for arguments, message in (
            ([config, 'nothing.pth', config, checkpoint, *out], 'no such file of pretrained weights: nothing.pth'),
            ([config, checkpoint, config, other, *out], 'does not fit ResNetTaps: missing conv1.weight'),
            ([str(bare), checkpoint, config, checkpoint, *out], 'has no model with a backbone'),
            ([str(no_test), checkpoint, config, checkpoint, *out], 'has no test_dataloader'),
            ([config, checkpoint, config, checkpoint, '--out', 'maps.txt'], 'ends in .png'),
            ([config, checkpoint, config, checkpoint, 'missing.jpg', *out], 'cannot open image "missing.jpg"'),
            ([config, checkpoint, config, checkpoint, *out, '--names', 'X', 'X'], 'must be two names'),
            ([config, checkpoint, config, checkpoint, *out, '--channels-a', '64'], 'channels 0 to 63, got')):
        with pytest.raises(SystemExit, match='^[A-Za-z]*Error: ') as error:
            tool.main(arguments)
        assert message in str(error.value)
    assert not (tmp_path / 'maps.png').exists()
