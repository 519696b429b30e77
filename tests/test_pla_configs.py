"""Configs of PLA: networks, what is searched and scheduled, equal budgets of all variants, the published numbers."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmreid.engine.progressive import SearchSpace
from mmreid.models.tta import apply_tta, choose_tta
from mmreid.registry import HOOKS, MODELS, PARAM_SCHEDULERS, TASK_UTILS
from mmreid.utils.config import load_config
from tests.test_configs import number_of_classes, trained_batch

FOLDER = Path(__file__).parents[1] / 'configs/pla'
NETS = {'resnet50': (2048, 1024), 'resnet18': (512, 256)}
#: Heads, embedding, and what steers the hyper-parameters.
VARIANTS = {
    '': (('ce', 'tri'), 'two', 'BayesianSearch'), '_ce': (('ce', ), 'one', None), '_triplet': (('tri', ), 'one', None),
    '_triplet_pla': (('tri', ), 'one', 'BayesianSearch'), '_single': (('ce', 'tri'), 'one', None),
    '_composite': (('ce', 'tri'), 'two', None), '_fixed': (('ce', 'tri'), 'two', None),
    '_schedule': (('ce', 'tri'), 'two', None), '_random': (('ce', 'tri'), 'two', 'RandomSearch'),
    '_grid': (('ce', 'tri'), 'two', 'GridSearch')}
OTHERS = ['resnet50_duke', 'resnet50_cuhk03_detected', 'resnet50_cuhk03_labeled', 'resnet18_synthetic']
NAMES = [f'{net}_market{variant}' for net in NETS for variant in VARIANTS] + OTHERS
#: lambda, m, k, p: bounds of the paper, and k <= K, p <= P of the small batches.
BOUNDS = {'resnet50': dict(loss_weight=(0, 2), margin=(-.1, .3), k=(1, 8), p=(1, 16)),
          'resnet18': dict(loss_weight=(0, 2), margin=(-.1, .3), k=(1, 4), p=(1, 8))}
#: Table 2, and the text of section 4.3: mAP and rank-1.
PUBLISHED = {
    'resnet50_market': {'Market-1501': (83.6, 93.7), 'Market-1501, multi-query': (88.4, 95.2),
                        'Market-1501, re-ranked': (89.4, 94.7), 'Market-1501, multi-query, re-ranked': (92.9, 95.7)},
    'resnet50_cuhk03_detected': {'CUHK03, detected': (63.2, 67.2), 'CUHK03, detected, re-ranked': (77.2, 75.5)},
    'resnet50_cuhk03_labeled': {'CUHK03, labeled': (67.5, 71.5), 'CUHK03, labeled, re-ranked': (81.0, 79.6)},
    'resnet50_duke': {'DukeMTMC-reID': (72.5, 84.3), 'DukeMTMC-reID, re-ranked': (80.1, 87.0)},
    'resnet50_market_ce': {'Market-1501': (70.4, 85.5)}, 'resnet50_market_triplet_pla': {'Market-1501': (81.1, 91.2)}}


def config(name: str) -> Config:
    return load_config(str(FOLDER / f'{name}.py'))


def described(name: str) -> tuple:
    net, _, variant = name.partition('_market')
    return VARIANTS[variant] if name not in OTHERS else VARIANTS['']


def network(name: str) -> torch.nn.Module:
    model = config(name).model
    number_of_classes(model, 4)
    model.backbone.pop('init_cfg', None)
    return MODELS.build(model)


def test_no_config_is_left_out():
    assert sorted(path.stem for path in FOLDER.glob('*.py')) == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_network(name):
    heads, embedding, _ = described(name)
    channels, length = NETS[name.split('_')[0]]
    model = config(name).model
    assert tuple(model.heads) == heads and model.neck.pool == 'max' and model.neck.in_channels == channels
    assert model.get('feature_key', 'feat') == 'feat'
    assert model.backbone.last_stride == {'resnet50': 1, 'resnet18': 2}[name.split('_')[0]]
    with torch.device('meta'):
        built = network(name)
        feats = built.neck((torch.empty(3, channels, 8, 4), ))
    assert feats['feat'].shape == (3, channels)
    for key, head in built.heads.items():
        expected = (key, length) if embedding == 'two' else ('feat', channels)
        assert (head.in_key, feats[head.in_key].shape[1]) == expected
    if 'ce' in heads:
        assert built.heads.ce.classifier.in_features == expected[1] and not len(built.heads.ce.hidden)
    if 'tri' in heads:
        loss, chosen = built.heads.tri.loss_module, {'resnet50': 4, 'resnet18': 2}[name.split('_')[0]]
        ranks = (chosen, chosen) if name.endswith('_fixed') else (1, 1)
        assert type(loss).__name__ == 'GeneralizedBatchHardTripletLoss'
        assert (loss.k, loss.p, loss.margin, loss.loss_weight, loss.reduction) == (*ranks, 0, 1, 'mean')


@pytest.mark.parametrize('name', [name for name in NAMES if described(name)[2]])
def test_search(name):
    """What is searched is there, between the bounds of the paper, with as many sets as there are trials."""
    cfg = config(name)
    loop, net = cfg.train_cfg, name.split('_')[0]
    assert loop.type == 'ProgressiveLearningLoop' and loop.search.type == described(name)[2]
    space, search = SearchSpace(loop.space), TASK_UTILS.build(dict(loop.search))
    expected = ('k', 'p') if 'grid' in name else tuple(BOUNDS[net])[1 if 'triplet' in name else 0:]
    assert space.names == expected
    assert {p.name: (p.low, p.high) for p in space.parameters} == {key: BOUNDS[net][key] for key in expected}
    assert [p.name for p in space.parameters if p.integer] == ['k', 'p']
    space.read(network(name))
    sampler = cfg.train_dataloader.sampler
    assert BOUNDS[net]['k'][1] == sampler.num_instances and BOUNDS[net]['p'][1] == sampler.num_pids
    if 'grid' in name:
        assert len(search) == loop.num_trials
    assert space.check(search.suggest(space, [], 0))
    paper = dict(max_epochs=3000, num_trials=8, explore_epochs=20, exploit_epochs=300, expected_drop=.15)
    small = dict(max_epochs=18, num_trials=4, explore_epochs=2, exploit_epochs=6, expected_drop=.15)
    assert {key: loop[key] for key in paper} == (paper if net == 'resnet50' else small)


@pytest.mark.parametrize('net', NETS)
def test_variants_differ_in_what_their_names_say_alone(net):
    """Equal data, optimizers, schedules, epochs and evaluations; exploration comes on top."""
    first = config(f'{net}_market')
    for variant, (_, _, search) in VARIANTS.items():
        cfg = config(f'{net}_market{variant}')
        for key in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator',
                    'optim_wrapper', 'param_scheduler', 'load_from', 'default_hooks', 'tta'):
            assert cfg[key] == first[key], (variant, key)
        assert cfg.train_cfg.max_epochs == first.train_cfg.max_epochs
        assert cfg.train_cfg.val_interval == first.train_cfg.val_interval
        assert not cfg.train_cfg.get('count_exploration', False)
        assert search or cfg.train_cfg.by_epoch
        assert bool(cfg.get('custom_hooks')) == (variant == '_schedule')


def test_the_small_ones_share_their_backbone():
    small = [config(name).model.backbone for name in NAMES if name.startswith('resnet18')]
    assert len(small) == len(VARIANTS) + 1 and all(backbone == small[0] for backbone in small)


def test_the_same_start():
    """Small ones: the backbone of a training that says in its config where it ends."""
    for name in NAMES:
        cfg = config(name)
        if name.startswith('resnet50'):
            assert cfg.load_from is None and cfg.model.backbone.init_cfg.checkpoint == 'torchvision://resnet50'
        elif name != 'resnet18_synthetic':
            given = load_config(str(FOLDER.parent / 'baseline/ide_resnet18_synthetic.py'))
            end = given.train_cfg.max_epochs
            assert cfg.load_from == f'work_dirs/baseline/ide_resnet18_synthetic/epoch_{end}.pth'
            assert tuple(cfg.load_parts) == ('backbone', ) and cfg.model.backbone.init_cfg is None
            stride = inspect.signature(MODELS.get('ResNetTaps')).parameters['last_stride'].default
            assert dict(given.model.backbone, last_stride=stride) == cfg.model.backbone


@pytest.mark.parametrize('name', NAMES)
def test_optimizer(name):
    """Section 4.2 and Eq. 10, in every cycle anew."""
    cfg = config(name)
    options = dict(cfg.optim_wrapper.optimizer)
    assert options.pop('type') == 'Adam' and options == dict(lr=3e-4, betas=(0.9, 0.999))
    hold, period = (150, 300) if name.startswith('resnet50') else (4, 6)
    assert cfg.train_cfg.get('exploit_epochs', period) == period
    optimizer = OptimWrapper(torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], **options))
    schedulers = [PARAM_SCHEDULERS.build(dict(item, optimizer=optimizer)) for item in cfg.param_scheduler]
    group = optimizer.optimizer.param_groups[0]
    for epoch in range(cfg.train_cfg.max_epochs):
        e = epoch % period
        expected = options['lr'] * 0.001**(max(0, e - hold) / (period - hold))
        assert group['lr'] == pytest.approx(expected, rel=1e-12)
        assert tuple(group['betas']) == (0.9 if e < hold else 0.5, 0.999)
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize('net, firsts', [('resnet50', {8: 0, 7: 300, 2: 1800, 1: 2100}),
                                         ('resnet18', {4: 0, 2: 6, 1: 12})])
def test_schedule_by_hand(net, firsts):
    """k from K down to 1, another in each cycle."""
    cfg = config(f'{net}_market_schedule')
    fields, = cfg.custom_hooks
    hook = HOOKS.build(dict(fields))
    found = [hook.values_at(epoch, 0)['k'] for epoch in range(cfg.train_cfg.max_epochs)]
    assert {k: found.index(k) for k in firsts} == firsts and sorted(found, reverse=True) == found
    assert set(found) == set(range(1, 9) if net == 'resnet50' else firsts) and set(hook.schedules) == {'k'}
    model = network(f'{net}_market_schedule')
    hook.space.apply(model, hook.values_at(0, 0))
    assert model.heads.tri.loss_module.k == found[0] == cfg.train_dataloader.sampler.num_instances


@pytest.mark.parametrize('variant', VARIANTS)
def test_losses_of_a_batch(variant):
    """Four people, two images each, ResNet-18: Eq. 5 as the sum of what is logged."""
    torch.manual_seed(0)
    model = network(f'resnet18_market{variant}').train()
    if 'fixed' not in variant and 'tri' in model.heads:
        model.heads.tri.loss_module.loss_weight = 0.5
    losses = model(**trained_batch(model, (64, 32)), mode='loss')
    names = {'ce': 'ce.loss_ce', 'tri': 'tri.loss_triplet'}
    assert {key for key in losses if 'loss' in key} == {names[head] for head in model.heads}
    total, _ = model.parse_losses(losses)
    assert total.item() == pytest.approx(sum(losses[names[head]].item() for head in model.heads))
    if 'ce' in model.heads:
        assert losses['ce.loss_ce'].item() == pytest.approx(1.386, rel=0.6)  # ln 4, nothing learnt


@pytest.mark.parametrize('name', [name for name in NAMES if name.startswith('resnet50')])
def test_ten_crops(name):
    """Section 4.2; the images of the test are enlarged as those of the training."""
    cfg = config(name)
    assert choose_tta(cfg, None) == 'ten_crop' and choose_tta(cfg, 'none') is None
    apply_tta(cfg, 'ten_crop')
    assert (cfg.model.views, tuple(cfg.model.crop_size)) == ('ten_crop', (256, 128))
    sizes = [next(step.scale for step in loader.dataset.pipeline if step.type == 'Resize')
             for loader in (cfg.test_dataloader, cfg.train_dataloader)]
    assert tuple(sizes[0]) == tuple(sizes[1]) == (144, 288)


def test_published_numbers():
    text = (FOLDER / 'metafile.yml').read_text(encoding='utf-8')
    models = yaml.safe_load(text)['Models']
    assert [model['Config'] for model in models] == [f'configs/pla/{name}.py' for name in sorted(NAMES)]
    found = {Path(model['Config']).stem: model['Results'] for model in models}
    assert {name: {result['Dataset']: (result['Metrics']['mAP'], result['Metrics']['rank-1'])
                   for result in results if result['Published']} for name, results in found.items()} == {
        name: PUBLISHED.get(name, {}) for name in NAMES}
    for name, results in found.items():
        for result in results:
            table = 'Table 2' if config(name).train_cfg.get('space', {}).get('loss_weight') else 'section 4.3'
            assert not result['Published'] or result['Source'] == f'PLA, {table}'
    readme = (FOLDER / 'README.md').read_text(encoding='utf-8')
    for name, rows in PUBLISHED.items():
        for data, (mAP, rank1) in rows.items():
            if 're-ranked' not in data:
                again = rows.get(f'{data}, re-ranked')
                cells = f'{again[0]} | {again[1]} |' if again else '| |'
                assert f'| `{name}.py` | {data} | {mAP} | {rank1} | {cells}' in readme
