"""What get_flops counts and measures, against numbers worked out by hand."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmreid.registry import MODELS

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location('get_flops', ROOT / 'tools/analysis_tools/get_flops.py')
get_flops = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(get_flops)

PARTS = '''
import torch
from torch import nn

from mmreid.registry import MODELS


@MODELS.register_module(force=True)
class TinyTaps(nn.Module):

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 8, 3, stride=2, padding=1, groups=4, bias=False)

    def forward(self, x):
        return self.second(self.first(x)),


@MODELS.register_module(force=True)
class TinyNeck(nn.Module):

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 5)
        self.register_buffer('shift', torch.zeros(5))

    def forward(self, maps):
        return dict(feat=self.fc(maps[0].mean((2, 3))) + self.shift)
'''
CONFIG = '''
custom_imports = dict(imports=['tiny_parts_of_get_flops'], allow_failed_imports=False)
model = dict(
    type='EmbeddingNet', backbone=dict(type='TinyTaps'), neck=dict(type='TinyNeck'),
    heads=dict(id=dict(type='ClassificationHead', in_channels=5, num_classes=None),
               metric=dict(type='TripletHead')))
'''
# On images of 64 x 32 (height x width).
MULT_ADDS = dict(backbone=64 * 32 * 16 * (3 * 9) + 32 * 16 * 8 * (16 // 4 * 9), neck=8 * 5, head=5 * 7)
PARAMS = dict(backbone=(3 * 9 + 1) * 16 + (16 // 4 * 9) * 8, neck=8 * 5 + 5, head=(5 + 1) * 7)


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'tiny_parts_of_get_flops.py').write_text(PARTS)
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, 'argv', ['get_flops.py', *map(str, arguments)])
    get_flops.main()
    return capsys.readouterr().out


def table_rows(out):
    """Cells of every row of every table by the first one."""
    lines = [[cell.strip() for cell in line.strip('|').split('|')] for line in out.splitlines() if line[:1] == '|']
    return {cells[0]: cells[1:] for cells in lines}


def test_hand_counted_network(monkeypatch, capsys, tmp_path, config):
    file = tmp_path / 'new' / 'costs.json'
    out = run(monkeypatch, capsys, config, '--shape', 64, 32, '--num-classes', 7, '--no-speed', '--json', file)
    written = json.loads(file.read_text())
    assert set(written) == {'environment', 'models'}
    model, = written['models']
    assert model['shape'] == [64, 32]
    assert set(model) == {'config', 'shape', 'params', 'mult_adds', 'parts', 'weights_bytes', 'paper', 'batches'}
    assert {part['name']: (part['params'], part['mult_adds']) for part in model['parts']} == {
        'backbone': (PARAMS['backbone'], MULT_ADDS['backbone']), 'neck': (PARAMS['neck'], MULT_ADDS['neck']),
        'head id': (PARAMS['head'], MULT_ADDS['head']), 'head metric': (0, 0)}
    assert model['params'] == dict(features=PARAMS['backbone'] + PARAMS['neck'], training=sum(PARAMS.values()))
    assert model['mult_adds'] == dict(features=MULT_ADDS['backbone'] + MULT_ADDS['neck'],
                                      training=sum(MULT_ADDS.values()))
    assert model['weights_bytes'] == 4 * (PARAMS['backbone'] + PARAMS['neck'] + 5)  # 5: the buffer of the neck
    assert model['batches'] == [] and model['paper'] is None
    assert table_rows(out)['backbone'] == ['0.00', '0.001'] and 'images/s' not in out


@pytest.mark.parametrize('scale, expected', [((32, 96), [96, 32]), (48, [48, 48]), (None, [256, 128])])
def test_size_of_the_test_pipeline(monkeypatch, capsys, tmp_path, config, scale, expected):
    """Scales are (width, height); the others do not have the size of the images."""
    steps = [dict(type='LoadImage'), dict(type='mmreid.Resize', scale=scale)][:1 if scale is None else 2]
    with config.open('a') as file:
        file.write(f'\ntest_dataloader = dict(dataset=dict(pipeline={steps!r}))\n')
    out = run(monkeypatch, capsys, config, '--no-speed', '--json', tmp_path / 'costs.json')
    model, = json.loads((tmp_path / 'costs.json').read_text())['models']
    assert model['shape'] == expected and f'one image of {expected[0]} x {expected[1]}' in out
    pixels = expected[0] * expected[1] / (64 * 32)
    assert model['mult_adds']['features'] == MULT_ADDS['backbone'] * pixels + MULT_ADDS['neck']


def test_measured_batches(monkeypatch, capsys, tmp_path, config):
    """Memory: the output of each convolution is alive while the other is computed from it."""
    file = tmp_path / 'costs.json'
    out = run(monkeypatch, capsys, config, '--shape', 64, 32, '--batch-sizes', 1, 256, '--repeats', 2, '--device',
              'cpu', '--json', file)
    written = json.loads(file.read_text())
    assert written['environment']['repeats'] == 2 and 'resident set' in written['environment']['memory']
    one, many = written['models'][0]['batches']
    assert set(one) == {'batch_size', 'input_bytes', 'forward_bytes', 'total_bytes', 'bytes_per_image',
                        'images_per_second', 'seconds'}
    assert (one['batch_size'], many['batch_size']) == (1, 256) and one['images_per_second'] > 0
    assert one['input_bytes'] == 3 * 64 * 32 * 4
    assert many['images_per_second'] == pytest.approx(256 / many['seconds']['median'])
    if many['forward_bytes'] is None:
        pytest.skip('this system does not tell the peak of the resident set')
    outputs = 256 * 4 * (16 * 64 * 32 + 8 * 32 * 16)
    assert 0.97 * outputs < many['forward_bytes'] < 1.5 * outputs
    assert many['total_bytes'] == (
        written['models'][0]['weights_bytes'] + many['input_bytes'] + many['forward_bytes'])
    assert many['bytes_per_image'] * 256 == many['input_bytes'] + many['forward_bytes']
    header, row = table_rows(out)['config'], table_rows(out)[str(config)]
    cells = dict(zip(header, row))
    assert cells['images/s of 256'] == f'{many["images_per_second"]:.1f}'
    assert cells['memory of 256 (MB)'] == f'{many["total_bytes"] / 1e6:.1f}'
    assert 'one image of 64 x 32' in out and 'medians of 2 passes' in out


def test_a_batch_that_does_not_fit(monkeypatch, capsys, config):

    def forward_pass(*args):
        raise torch.cuda.OutOfMemoryError('too large')

    monkeypatch.setattr(get_flops, 'forward_pass', forward_pass)
    out = run(monkeypatch, capsys, config, '--shape', 64, 32, '--batch-sizes', 4, '--device', 'cpu')
    assert table_rows(out)[str(config)][-3:] == ['n/a'] * 3


def test_several_configs_are_compared(monkeypatch, capsys, tmp_path, config):
    wider = tmp_path / 'wider.py'
    wider.write_text(CONFIG + 'model["heads"]["id"]["hidden_channels"] = (10, )\n')
    out = run(monkeypatch, capsys, config, wider, '--no-speed', '--shape', 64, 32, '--num-classes', 7000)
    rows = table_rows(out)
    assert rows[str(config)][0] == rows[str(wider)][0] == '0.00'
    assert [rows[str(path)][1] for path in (config, wider)] == ['0.04', '0.08']
    assert out.count('to extract features') == 2


def test_parts_of_another_embedder():
    """Parts that are no backbone and neck, one of them a list that is itself never called; a shared layer."""

    class Branches(nn.Module):

        def __init__(self):
            super().__init__()
            self.branches = nn.ModuleList([nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(3, 2, 1, bias=False)])
            self.fuse = nn.Linear(6, 6, bias=False)
            self.again = self.fuse

        def forward(self, x, mode='tensor'):
            x = torch.cat([branch(x).mean((2, 3)) for branch in self.branches], 1)
            return dict(feat=self.fuse(self.fuse(x)))

    counted = get_flops.count(Branches().eval(), (5, 4))
    assert counted['params'] == dict(training=18 + 36, features=18 + 36)
    assert counted['mult_adds'] == dict(training=20 * 18 + 72, features=20 * 18 + 72)
    assert [(part['name'], part['mult_adds']) for part in counted['parts']][:2] == [('branches', 360), ('fuse', 72)]
    assert counted['weights_bytes'] == 4 * 54


def test_the_pass_that_is_measured_is_that_of_evaluation():
    seen = []

    class Watcher(nn.Module):
        memory_format = torch.channels_last

        def forward(self, x, mode):
            seen.append((x, mode, torch.is_inference_mode_enabled(), torch.is_autocast_enabled('cpu')))

    for amp in (False, True):
        forward, images = get_flops.forward_pass(Watcher(), 2, (8, 4), 'cpu', amp)
        forward()
    assert seen[0][0].shape == (2, 3, 8, 4) and seen[0][0].is_contiguous(memory_format=torch.channels_last)
    assert [entry[1:] for entry in seen] == [('tensor', True, False), ('tensor', True, True)]


@pytest.mark.parametrize('text, message', [
    (None, 'does not exist'),
    ('model = dict(', 'cannot be read as a config: SyntaxError'),
    ('x = 1', 'has no model'),
])
def test_unreadable_configs(monkeypatch, capsys, tmp_path, text, message):
    path = tmp_path / 'broken.py'
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, capsys, path)


@pytest.mark.parametrize('options, message', [
    (('--batch-sizes', '0'), 'at least 1'), (('--device', 'quantum'), '--device must be cpu')])
def test_bad_options(capsys, options, message):
    with pytest.raises(SystemExit):
        get_flops.parse_args(['config.py', *options])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('name, neck, stated', [
    ('resnet50_ptl', '8.38', 'ResNet-50+PTL has 35 M'),
    ('resnet50_bnneck_triplet', '0.00', None),
])
def test_networks_of_the_papers(monkeypatch, capsys, name, neck, stated):
    config = ROOT / 'configs' / '_base_' / 'models' / f'{name}.py'
    out = run(monkeypatch, capsys, config, '--shape', 64, 32, '--no-speed')
    rows = table_rows(out)
    # Mult-Adds of ResNet-50 scale with the area: 4.09 G at 224 x 224.
    if stated:
        assert float(rows['backbone'][1]) == pytest.approx(4.087 * 64 * 32 / 224**2, rel=0.01)
    assert rows['backbone'][0] == '23.51' and rows['neck'][0] == neck
    assert float(rows['in training'][0]) == pytest.approx(
        sum(float(rows[part][0]) for part in rows if part in ('backbone', 'neck') or part.startswith('head')),
        abs=0.02)
    assert (stated in out) if stated else ('Table 1' not in out)


def test_every_part_can_be_built_for_the_paper_table():
    assert all(backbone in MODELS and neck in MODELS for backbone, _, neck in get_flops.PAPER)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda(monkeypatch, capsys, tmp_path, config):
    file = tmp_path / 'costs.json'
    run(monkeypatch, capsys, config, '--shape', 64, 32, '--batch-sizes', 256, '--device', 'cuda', '--json', file)
    batch, = json.loads(file.read_text())['models'][0]['batches']
    assert batch['forward_bytes'] >= 256 * 4 * (16 * 64 * 32 + 8 * 32 * 16)


def test_auxiliary_branches_cost_nothing_at_test_time():
    """What only auxiliary heads read counts in training alone; what is frozen counts nevertheless."""
    cfg = dict(
        type='EmbeddingNet',
        backbone=dict(type='ResNetTaps', depth=18, out_indices=(3, 4, 5), frozen_stages=1),
        neck=dict(type='DTLNeck', in_channels=(128, 256, 512), aux_cfg=dict(feat_channels=32, mid_channels=16)),
        heads=dict(id=dict(type='ClassificationHead', in_channels=512, num_classes=7),
                   id_aux1=dict(type='ClassificationHead', in_key='aux1', in_channels=32, num_classes=7)))
    model = MODELS.build(cfg).eval()
    wanted = [p.requires_grad for p in model.parameters()]
    costs = get_flops.count(model, (128, 64))
    cfg['neck'].update(aux=False, in_channels=(512, ))
    cfg['neck'].pop('aux_cfg')
    cfg['backbone'].update(out_indices=(5, ))
    del cfg['heads']['id_aux1']
    bare = get_flops.count(MODELS.build(cfg).eval(), (128, 64))
    assert costs['params']['features'] == bare['params']['features'] == sum(
        p.numel() for p in model.backbone.parameters())
    assert costs['mult_adds']['features'] == bare['mult_adds']['features'] < costs['mult_adds']['training']
    assert costs['weights_bytes'] == bare['weights_bytes'] == sum(
        value.nbytes for value in model.backbone.state_dict().values())
    assert [p.requires_grad for p in model.parameters()] == wanted and False in wanted
