from pathlib import Path

import pytest
import torch

from mmreid.models.layers import BConvCell, latent_state_dict, reset_latent_states
from mmreid.models.necks import MGNPTLNeck, PartPoolingNeck
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.config import load_config

CONFIGS = Path(__file__).parents[3] / 'configs'
CFG = dict(
    in_channels=(3, 4, 5), cell_channels=((2, 3), 4), fusion_channels=(6, 7), strides=((2, 2), 2), branch_channels=8,
    branch_cells=[dict(channels=2, stride=2), dict(channels=2, stride=1)],
    parts=dict(feat_channels=3, branches=[dict(stripes=1), dict(stripes=2)]))
#: The cells of the released network: input, output, stride; all 3x3 with padding 1, four gates, no bias.
CELLS = {
    'cells.0.0': (3, 16, 2), 'cells.0.1': (16, 32, 2), 'cells.1': (64, 64, 1), 'cells.2': (128, 256, 2),
    'cells.3': (256, 512, 2), 'branch_cells.0': (512, 128, 2), 'branch_cells.1': (512, 128, 1),
    'branch_cells.2': (512, 128, 1)}
#: Its fusions, 1x1 with bias and batch norm: channels of the backbone and of the cell, output.
FUSIONS = [(64, 32, 64), (256, 64, 128), (512, 256, 256), (1024, 512, 512)]
#: Of its ResNet-50 the layers after layer3[0] and the classifier are kept in the branches or never used.
BOTTLENECK = 1024 * 256 + 256 * 256 * 9 + 256 * 1024 + 2 * (256 + 256 + 1024)
NEVER_USED = 5 * BOTTLENECK + 14_964_736 + 2048 * 1000 + 1000


def maps(batch=3, height=32):
    sizes = [(height, 16), (height // 4, 4), (height // 8, 2), (height // 16, 1), (height // 8, 2)]
    return tuple(torch.randn(batch, c, *size) for c, size in zip((3, 4, 5, 8, 8), sizes, strict=True))


def build(name, num_classes=751):
    cfg = load_config(str(CONFIGS / name)).model
    cfg.backbone.init_cfg, cfg.heads.id.head.num_classes = None, num_classes
    return MODELS.build(cfg)


def released_neck():
    """Names and shapes of the parameters of the released network beside its backbone, in the names of this one."""
    expected = {f'{name}.gates.weight': (4 * c_out, c_in, 3, 3) for name, (c_in, c_out, _) in CELLS.items()}
    for i, (c_map, c_cell, c_out) in enumerate(FUSIONS):
        expected[f'fusions.{i}.0.weight'] = (c_out, c_map + c_cell, 1, 1)
        expected.update({f'fusions.{i}.{part}': (c_out, ) for part in ('0.bias', '1.weight', '1.bias')})
    expected['parts.reduction.0.weight'] = (256, 2048 + 128)
    expected.update({f'parts.reduction.{part}': (256, ) for part in ('0.bias', '1.weight', '1.bias')})
    return expected


def test_the_released_network_layer_by_layer():
    with torch.device('meta'):
        model = build('ptl/mgn_resnet50_market_released.py')
    assert {name: tuple(p.shape) for name, p in model.neck.named_parameters()} == released_neck()
    cells = {name: cell for name, cell in model.neck.named_modules() if isinstance(cell, BConvCell)}
    assert {name: (cell.in_channels, cell.out_channels, cell.gates.stride[0]) for name, cell in cells.items()} == CELLS
    assert {(cell.gates.kernel_size, cell.gates.padding) for cell in cells.values()} == {((3, 3), (1, 1))}
    assert {cell.on_smaller_batch for cell in cells.values()} == {'truncate'}
    heads = {name: tuple(p.shape) for name, p in model.heads.named_parameters()}
    assert sorted(heads.values()) == [(751, )] * 8 + [(751, 256)] * 8
    # The released module counts 103,487,648 parameters and MGN 66,678,200.
    assert sum(p.numel() for p in model.parameters()) + NEVER_USED == 103_487_648
    with torch.device('meta'):
        assert sum(p.numel() for p in build('mgn/resnet50_market_released.py').parameters()) == 66_678_200


def test_the_default_has_the_same_cells_with_the_biases_of_the_paper():
    with torch.device('meta'):
        neck = build('ptl/mgn_resnet50_market.py').neck
    released, own = released_neck(), {name: tuple(p.shape) for name, p in neck.named_parameters()}
    assert {name for name in released if name not in own} == {
        *(f'fusions.{i}.0.bias' for i in range(4)), 'parts.reduction.0.bias'}
    assert {name for name in own if name not in released} == {f'{name}.gates.bias' for name in CELLS}


def test_initial_weights_of_the_released_network():
    torch.manual_seed(0)
    model = build('ptl/mgn_resnet50_market_released.py')
    model.init_weights()
    norm = model.neck.parts.reduction[1]
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.01) and norm.bias.abs().max() == 0
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert all((fusion[1].weight == 1).all() for fusion in model.neck.fusions)
    for name, (c_in, _, _) in CELLS.items():
        weight = model.neck.get_submodule(name).gates.weight
        assert weight.std().item() == pytest.approx((2 / (9 * c_in)) ** 0.5, rel=0.1)
    classifier = model.heads.id.heads.part_3_2.classifier
    assert classifier.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02) and (classifier.bias == 0).all()


def test_pooling_before_or_after_they_are_put_in_a_row():
    torch.manual_seed(0)
    neck = MGNPTLNeck(**CFG).eval()
    x = maps()
    z = neck.run_chain(x)
    rows = [torch.cat([x[3 + b], cell(z)], dim=1) for b, cell in enumerate(neck.branch_cells)]
    parts = PartPoolingNeck(8 + 2, **CFG['parts']).eval()
    parts.load_state_dict(neck.parts.state_dict())
    expected, feats = parts(rows), neck(x)
    assert sorted(feats) == ['feat', 'global_1', 'global_2', 'part_2_1', 'part_2_2']
    assert all(torch.equal(feats[name], expected[name]) for name in expected)


def test_every_parameter_learns():
    torch.manual_seed(0)
    neck = MGNPTLNeck(**CFG).double()
    x = tuple(m.double().requires_grad_() for m in maps(8))
    for _ in range(2):  # forget gates act from the second batch on
        neck.zero_grad()
        feats = neck(x)
        (feats['feat'] * torch.randn_like(feats['feat'])).sum().backward()
    assert [name for name, p in neck.named_parameters() if p.grad.abs().max() < 1e-9] == []
    assert all(m.grad.abs().max() > 0 for m in x)


def test_states_are_carried_reset_and_absent_in_evaluation():
    torch.manual_seed(0)
    neck, x, other = MGNPTLNeck(**CFG), maps(), maps()
    first = neck(x)['feat']
    states = latent_state_dict(neck)
    assert sorted(states) == ['branch_cells.0', 'branch_cells.1', 'cells.0.0', 'cells.0.1', 'cells.1']
    neck(other)
    assert not torch.allclose(neck(x)['feat'], first)  # the state of what came before
    assert reset_latent_states(neck) == 5 and not latent_state_dict(neck)
    torch.testing.assert_close(neck(x)['feat'], first)
    fresh = neck.eval()(x)['feat']
    held = latent_state_dict(neck)
    neck(other)
    assert all(torch.equal(latent_state_dict(neck)[name], state) for name, state in held.items())
    one_by_one = torch.cat([neck(tuple(m[n:n + 1] for m in x))['feat'] for n in range(3)])
    torch.testing.assert_close(one_by_one, fresh, rtol=0, atol=1e-6)


def small_model(**options):
    """MGN+PTL on ResNet-18, whose layers are a quarter as wide as those of ResNet-50."""
    cfg = load_config(str(CONFIGS / 'ptl/mgn_resnet50_market.py')).model
    cfg.backbone.update(depth=18, init_cfg=None)
    cfg.neck.update(in_channels=(3, 64, 64, 128, 256), branch_channels=512)
    cfg.heads.id.head.num_classes = 2
    cfg.update(options)
    return MODELS.build(cfg)


def batch():
    images = [torch.randint(0, 256, (3, 96, 32), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
              for n in range(4)]
    return dict(inputs=images, data_samples=[ReIDDataSample().set_gt_label(n // 2) for n in range(4)])


def test_features_of_flipped_images_are_averaged():
    torch.manual_seed(0)
    model = small_model().eval()
    tta = MODELS.build(dict(type='ReIDTTAModel', views='flip', module=model)).eval()
    with torch.no_grad():
        mean = torch.stack([sample.feature for sample in tta.test_step(batch())])
        images = model.data_preprocessor(batch())['inputs']
        expected = (model(images)['feat'] + model(images.flip(3))['feat']) / 2
    assert mean.shape == (4, 2048)
    torch.testing.assert_close(mean, expected)


def test_memory_format_and_autocast():
    torch.manual_seed(0)
    plain = small_model(channels_last=False)
    last = small_model()
    last.load_state_dict(plain.state_dict())
    images = plain.data_preprocessor(batch())['inputs']
    with torch.no_grad():
        a, b = plain.eval()(images)['feat'], last.eval()(images)['feat']
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        with torch.autocast('cpu', torch.bfloat16):
            c = last(images)['feat']
    assert torch.nn.functional.cosine_similarity(a, c.float()).min() > 0.999
    with torch.autocast('cpu', torch.bfloat16):
        losses = last.train()(images, batch()['data_samples'], mode='loss')
    total, _ = last.parse_losses(losses)
    total.backward()
    assert total.isfinite() and all(p.grad is not None and p.grad.isfinite().all() for p in last.parameters())
    assert {state.dtype for state in latent_state_dict(last).values()} == {torch.float32}


def test_wrong_heights_and_strides():
    torch.manual_seed(0)
    thirds = dict(CFG, parts=dict(feat_channels=3, branches=[dict(stripes=1), dict(stripes=3)]))
    with pytest.raises(ValueError, match=r'3 stripes .* has height 4\. The input height is 32; one of 48 works'):
        MGNPTLNeck(**thirds)(maps())
    assert MGNPTLNeck(**thirds)(maps(height=48))['feat'].shape == (3, 15)
    cells = [dict(channels=2, stride=1), dict(channels=2, stride=1)]
    with pytest.raises(ValueError, match=r'cell of branch 1 gives maps of \(4, 2\).*\(2, 1\).*last_stride'):
        MGNPTLNeck(**{**CFG, 'branch_cells': cells})(maps())
    with pytest.raises(ValueError, match='MGNPTLNeck was built for taps of .*out_indices'):
        MGNPTLNeck(**CFG)(maps()[1:])


@pytest.mark.parametrize('kwargs, message', [
    (dict(fusion_channels=(6, )), '3 taps of the trunk need 2 cell_channels, fusion_channels and strides'),
    (dict(branch_cells=[]), 'must be a list of dict.channels=C, stride=S.'),
    (dict(branch_cells=[dict(channels=2, stride=2), dict(channels=3, stride=1)]), 'with equal channels'),
    (dict(branch_cells=[dict(channels=2)]), 'must be a list of dict'),
    (dict(branch_cells=[1, 2]), 'must be a list of dict'),
    (dict(branch_cells=[dict(channels=(2, 4), stride=(1, 2))] * 2), 'must be a list of dict'),
    (dict(branch_cells=[dict(channels=2, stride=2)]), 'the parts have 2 branches, and there are 1 branch_cells'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MGNPTLNeck(**{**CFG, **kwargs})
