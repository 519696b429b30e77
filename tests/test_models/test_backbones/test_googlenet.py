import math
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from mmreid.models.backbones import GoogLeNet
from mmreid.models.backbones.googlenet_original import INCEPTIONS, ResponseNorm
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

from .norms import unsettle

#: Table 1 of the paper for an image of 224 x 224: side and channels after a layer.
TABLE = dict(conv1=(112, 64), maxpool1=(56, 64), conv3=(56, 192), maxpool2=(28, 192), inception3a=(28, 256),
             inception3b=(28, 480), maxpool3=(14, 480), inception4a=(14, 512), inception4b=(14, 512),
             inception4c=(14, 512), inception4d=(14, 528), inception4e=(14, 832), maxpool4=(7, 832),
             inception5a=(7, 832), inception5b=(7, 1024))
#: The same table: thousands of parameters. They are round and do not quite follow from its widths.
PUBLISHED = dict(inception3a=159, inception3b=380, inception4a=364, inception4b=437, inception4c=463, inception4d=580,
                 inception4e=840, inception5a=1072, inception5b=1388)


@pytest.fixture(scope='module')
def torchvisions():
    """torchvision's network, with the rescaling of its weights, and norms that are not the identity."""
    torch.manual_seed(0)
    net = get_model('googlenet', weights=None, aux_logits=True, transform_input=True, init_weights=True)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return unsettle(net)


@pytest.fixture(scope='module')
def file(torchvisions, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'googlenet.pth'
    torch.save(torchvisions.state_dict(), path)
    return path


def loaded(path, **kwargs):
    backbone = GoogLeNet(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **kwargs).eval()
    backbone.init_weights()
    return backbone


def reference_maps(net, x):
    """What torchvision's own forward gives after the three modules."""
    maps = {}
    hooks = [net.get_submodule(name).register_forward_hook(lambda m, i, out, name=name: maps.update({name: out}))
             for name in ('inception4a', 'inception4d', 'inception5b')]
    with torch.no_grad():
        logits = net(x)
    for hook in hooks:
        hook.remove()
    return list(maps.values()), logits


@pytest.mark.parametrize('size', [(224, 224), (256, 128), (128, 64), (150, 61)])
def test_maps_equal_torchvisions(torchvisions, file, size):
    backbone, x = loaded(file), torch.randn(2, 3, *size)
    expected, logits = reference_maps(torchvisions, x)
    with torch.no_grad():
        maps = backbone(x)
    assert len(maps) == 3 and tuple(m.shape[1] for m in maps) == backbone.out_channels == (512, 528, 1024)
    for own, other in zip(maps, expected, strict=True):
        assert other.std() > 0.1
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torchvisions.fc(maps[-1].mean((2, 3))), logits, rtol=1e-4, atol=1e-5)


def test_every_key_of_the_backbone_is_used_and_no_other(torchvisions, file):
    own, there = loaded(file).state_dict(), torchvisions.state_dict()
    assert all(torch.equal(value, there[key]) for key, value in own.items())
    assert {key.split('.')[0] for key in set(there) - set(own)} == {'aux1', 'aux2', 'fc'}
    assert len(own) == len([key for key in there if key.split('.')[0] not in ('aux1', 'aux2', 'fc')]) > 300


def test_hosted_weights(monkeypatch, torchvisions):
    """The file that torchvision hosts has auxiliary branches, and says nothing of the batches its norms have seen."""
    urls = []

    def hosted(url, *args, **kwargs):
        urls.append(url)
        return {key: value for key, value in torchvisions.state_dict().items() if 'num_batches' not in key}

    said = []
    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', hosted)
    monkeypatch.setattr('mmreid.models.backbones.googlenet.print_log', lambda text, **kwargs: said.append(text))
    backbone = loaded('torchvision://googlenet')
    assert urls == ['https://download.pytorch.org/models/googlenet-1378be20.pth']
    key = 'inception5b.branch3.1.conv.weight'
    assert torch.equal(backbone.state_dict()[key], torchvisions.state_dict()[key])
    # Two branches of a convolution with its norm (5) and two layers (4), and the classifier (2).
    assert len(said) == 1 and 'passes over 20 weights of aux1, aux2, fc' in said[0]


def test_without_network_the_error_says_what_to_do(monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError('Name or service not known')

    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', no_network)
    with pytest.raises(RuntimeError, match='init_cfg.checkpoint=/path/to/googlenet-1378be20.pth'):
        loaded('torchvision://googlenet')


def test_rescaling_of_the_input(torchvisions, file):
    """An image of 0 ... 1 in ImageNet's normalisation becomes 2 x - 1, and only where it is asked for."""
    image = torch.rand(1, 3, 64, 64)
    normalised = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]).view(3, 1, 1)
    on, off = loaded(file), loaded(file, transform_input=False)
    with torch.no_grad():
        assert not torch.allclose(on(normalised)[0], off(normalised)[0], atol=1e-3)
        for own, other in zip(on(normalised), off(2 * image - 1), strict=True):
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)
    assert GoogLeNet().transform_input and not GoogLeNet(batch_norm=False).transform_input
    assert set(on.state_dict()) == set(off.state_dict())


def test_a_file_of_a_whole_model_loads(tmp_path, file):
    source = loaded(file)
    state = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict={**state, 'neck.auxiliary.aux1.fc.bias': torch.zeros(1)}), tmp_path / 'model.pth')
    own = loaded(tmp_path / 'model.pth').state_dict()
    assert all(torch.equal(own[key], value) for key, value in source.state_dict().items())


# ---- the published network ------------------------------------------------------------------------------------------


def naive_normalisation(x, size=5, alpha=1e-4, beta=0.75):
    """Krizhevsky's local response normalisation, with Caffe's constants, channel by channel."""
    out = torch.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - size // 2):c + size // 2 + 1]
        out[:, c] = x[:, c] / (1 + alpha / size * near.pow(2).sum(1))**beta
    return out


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_response_norm(dtype):
    """In half precision the square of 300 is infinite; the result has the precision of the input."""
    torch.manual_seed(0)
    x = (300 * torch.rand(2, 7, 3, 3)).to(dtype)
    with torch.autocast('cpu', torch.bfloat16):
        found = ResponseNorm(5)(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found, naive_normalisation(x.float()).to(dtype))


def functional_original(state, x):
    """The published network from its weights, written down layer by layer."""

    def conv(x, name, stride=1):
        weight, bias = state[f'{name}.conv.weight'], state[f'{name}.conv.bias']
        return F.relu(F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2))

    def inception(x, name):
        pooled = F.max_pool2d(x, 3, 1, 1)
        return torch.cat([conv(x, f'{name}.branch1'), conv(conv(x, f'{name}.branch2.0'), f'{name}.branch2.1'),
                          conv(conv(x, f'{name}.branch3.0'), f'{name}.branch3.1'),
                          conv(pooled, f'{name}.branch4.1')], 1)

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    x = naive_normalisation(pool(conv(x, 'conv1', 2)))
    x = pool(naive_normalisation(conv(conv(x, 'conv2'), 'conv3')))
    x = inception(inception(x, 'inception3a'), 'inception3b')
    aux1 = inception(pool(x), 'inception4a')
    aux2 = inception(inception(inception(aux1, 'inception4b'), 'inception4c'), 'inception4d')
    return aux1, aux2, inception(inception(pool(inception(aux2, 'inception4e')), 'inception5a'), 'inception5b')


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_original_layer_by_layer(layout):
    torch.manual_seed(0)
    backbone = GoogLeNet(batch_norm=False).eval().to(memory_format=layout)
    x = 20 * torch.randn(2, 3, 128, 64).contiguous(memory_format=layout)  # so that the normalisation matters
    with torch.no_grad():
        for own, other in zip(backbone(x), functional_original(backbone.state_dict(), x), strict=True):
            assert other.std() > 0.1
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('batch_norm', [True, False])
def test_shapes_of_the_papers_table(batch_norm):
    with torch.device('meta'):
        backbone = GoogLeNet(batch_norm).eval()
        shapes = {}
        for name in TABLE:
            backbone.get_submodule(name).register_forward_hook(
                lambda m, i, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
        backbone(torch.zeros(1, 3, 224, 224))
    assert shapes == {name: (channels, side, side) for name, (side, channels) in TABLE.items()}


def test_parameters_of_the_original():
    """The sizes of kernels, biases included, and what the paper prints, which is round and a few percent off."""
    with torch.device('meta'):
        backbone = GoogLeNet(batch_norm=False)
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in backbone.named_children()}
    expected = dict(conv1=64 * (3 * 49 + 1), conv2=64 * 65, conv3=192 * (64 * 9 + 1))
    for name, (c, a, b3, b, c5, d, e) in INCEPTIONS.items():
        expected[name] = (a + b3 + c5 + e) * (c + 1) + b * (9 * b3 + 1) + d * (25 * c5 + 1)
    assert {name: number for name, number in counts.items() if number} == expected
    for name, thousands in PUBLISHED.items():
        assert counts[name] / 1024 == pytest.approx(thousands, rel=0.08), name
    total = sum(counts.values())
    assert total == 5_973_552
    published = 2.7 + 112 + 159 + 380 + 364 + 437 + 463 + 580 + 840 + 1072 + 1388 + 1000  # its column, classifier last
    assert published / 1000 == pytest.approx(6.8, abs=0.01)
    assert (total + 1000 * 1025) / 1024 == pytest.approx(published, rel=0.02)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5) for m in backbone.modules()) == 9


def test_initial_weights_of_the_original():
    torch.manual_seed(0)
    for module in GoogLeNet(batch_norm=False).modules():
        if isinstance(module, nn.Conv2d):
            bound = math.sqrt(3 / module.weight[0].numel())
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert (module.bias == 0.2).all()


def test_without_init_cfg_the_weights_are_torchvisions():
    torch.manual_seed(0)
    reference = get_model('googlenet', weights=None, aux_logits=False, init_weights=True)
    torch.manual_seed(0)
    net = GoogLeNet()
    net.init_weights()
    for key in ('conv1.conv.weight', 'inception5b.branch4.1.conv.weight'):
        assert torch.equal(net.state_dict()[key], reference.state_dict()[key])


def test_weights_with_batch_norm_do_not_fit_the_original(file):
    with pytest.raises(ValueError, match='batch_norm=True'):
        loaded(file, batch_norm=False)


def test_the_original_loads_its_own_weights(tmp_path):
    source = GoogLeNet(batch_norm=False)
    torch.save(source.state_dict(), tmp_path / 'own.pth')
    own = loaded(tmp_path / 'own.pth', batch_norm=False).state_dict()
    assert all(torch.equal(own[key], value) for key, value in source.state_dict().items())
    with pytest.raises(ValueError, match='does not fit GoogLeNet: missing conv1.bn.weight'):
        loaded(tmp_path / 'own.pth')


# ---- what is run and trained ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('batch_norm', [True, False])
def test_out_indices_choose_and_stop(batch_norm):
    torch.manual_seed(0)
    whole, part = GoogLeNet(batch_norm).eval(), GoogLeNet(batch_norm, out_indices=(0, )).eval()
    part.load_state_dict(whole.state_dict())
    part.inception4b = part.inception5b = None  # never run
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(part(x)[0], whole(x)[0]) and len(part(x)) == 1
    assert part.out_channels == (512, )
    trained = {name.split('.')[0] for name, p in part.named_parameters() if p.requires_grad}
    assert trained == {'conv1', 'conv2', 'conv3', 'inception3a', 'inception3b', 'inception4a'}
    last = GoogLeNet(batch_norm, out_indices=(2, )).eval()
    last.load_state_dict(whole.state_dict())
    with torch.no_grad():
        assert torch.equal(last(x)[0], whole(x)[2])
    assert all(p.requires_grad for p in last.parameters())


@pytest.mark.parametrize('stages, first', [(0, 'inception3a'), (1, 'inception4a'), (2, 'inception4b'),
                                           (3, 'inception4e')])
def test_frozen_stages(stages, first):
    net = GoogLeNet(frozen_stages=stages).train()
    names = [name for name, module in net.named_children() if any(True for _ in module.parameters())]
    begin = names.index(first)
    for number, name in enumerate(names):
        module = net.get_submodule(name)
        assert all(p.requires_grad == (number >= begin) for p in module.parameters())
        assert all(m.training == (number >= begin) for m in module.modules())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net(torch.randn(2, 3, 64, 64))
    changed = {key.split('.')[0] for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == set(names[begin:])


def test_norm_eval():
    net = GoogLeNet(norm_eval=True).train()
    assert net.training and not any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize('batch_norm', [True, False])
def test_gradient_to_every_parameter_through_a_whole_model(batch_norm):
    """Six heads' worth of paths: every embedding has a classifier."""
    torch.manual_seed(0)
    heads = {f'id_{key}': dict(type='ClassificationHead', in_channels=1024, num_classes=3, in_key=key, init_std=0.1)
             for key in ('feat', 'aux1', 'aux2')}
    model = MODELS.build(dict(type='EmbeddingNet', backbone=dict(type='GoogLeNet', batch_norm=batch_norm),
                              neck=dict(type='DTLNeck'), heads=heads)).double()
    model.init_weights()
    samples = [ReIDDataSample().set_gt_label(label) for label in (0, 1, 2)]
    losses = model(torch.randn(3, 3, 64, 64, dtype=torch.float64), samples, mode='loss')
    assert {key for key in losses if 'loss' in key} == {f'{name}.loss_ce' for name in heads}
    model.parse_losses(losses)[0].backward()
    idle = [name for name, p in model.named_parameters() if not p.grad.abs().max() > 1e-9]
    assert idle == []
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in model.parameters() if p.dim() == 4)


@pytest.mark.parametrize('kwargs, message', [
    (dict(out_indices=()), 'out_indices of GoogLeNet'),
    (dict(out_indices=(2, 0)), 'increasing numbers'),
    (dict(out_indices=(3, )), r'0 \(inception4a\)'),
    (dict(out_indices=(-1, )), r'got \(-1,\)'),
    (dict(frozen_stages=5), 'between -1 and 4'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GoogLeNet(**kwargs)
