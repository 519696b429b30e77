"""Configs of EmbAE: what each step trains, on which data, from which file; the learning rate; the published numbers."""

from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmreid.engine.recipes import load_recipe
from mmreid.registry import HOOKS, PARAM_SCHEDULERS
from mmreid.utils.config import load_config

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs'
SOURCES = {'duke': 'duke2market', 'dukecuhk03viperward': 'dukecuhk03viperward_2market', 'synthetic': 'synthetic_a2b',
           'cams123': 'cams123_2cams456', 'syntheticcams123': 'syntheticcams123_2cams456'}
LABELLED = {'duke': ['DukeMTMCreID'], 'dukecuhk03viperward': ['DukeMTMCreID', 'CUHK03', 'VIPeR', 'WARD'],
            'synthetic': ['SyntheticReID'], 'cams123': ['Market1501'],
            'syntheticcams123': ['SyntheticReID', 'Market1501']}
#: What trains in each phase of step 3, and which parts of step 2 it takes.
FINE_TUNING = {
    'fix': ([('neck.embedding', 'heads.ae.decoder')], 'heads.ae'),
    'straightforward': ([('neck.embedding', 'heads.ae')], 'heads.ae'),
    'new': ([('heads.ae.nuisance', ), ('neck.embedding', 'heads.ae.decoder')], 'heads.ae.decoder'),
    'new_backbone': ([('heads.ae.nuisance', ), ('backbone', 'neck.embedding', 'heads.ae.decoder')],
                     'heads.ae.decoder')}
FINE_TUNING['cam'] = FINE_TUNING['dataset'] = FINE_TUNING['new']
NUISANCE = {'cam': 'per_camera', 'dataset': 'per_dataset'}
#: Every config of steps 2 and 3, by source and form; one that vanishes is missed.
SEVERAL = ('dukecuhk03viperward', 'syntheticcams123')
AUTOENCODERS = [(source, form) for source in SOURCES for form in ('', '_cam')] + [
    (source, '_dataset') for source in SEVERAL]
FINE_TUNED = [(source, form) for source in SOURCES for form in ('fix', 'straightforward', 'new', 'cam')] + [
    *((source, 'dataset') for source in SEVERAL), ('synthetic', 'new_backbone'), ('cams123', 'new_backbone')]
RECIPES = [pair for pair in FINE_TUNED if pair[1] != 'new_backbone']
#: Sources whose small trainings begin with drawn pedestrians in place of ImageNet.
FROM_DRAWN = ('synthetic', 'cams123', 'syntheticcams123')
#: Of a user's images, without a test where nobody has labelled any; tests/test_own_cameras.py trains them.
OWN_CAMERAS = ('folder_embedding', 'folder_autoencoder', 'folder_autoencoder_cam', 'folder2folder_new',
               'folder2folder_cam')
#: Rank-1, Rank-1-nd, mAP, mAP-nd of Tables 1 and 2, as shares of one.
TABLES = {
    'duke': dict(embedding=(.421, .485, .177, .211), fix=(.553, .661, .275, .339), new=(.556, .650, .280, .337),
                 cam=(.585, .669, .294, .345)),
    'dukecuhk03viperward': dict(embedding=(.528, .607, .273, .322), fix=(.596, .712, .329, .399),
                                new=(.606, .707, .342, .404), cam=(.643, .729, .357, .414))}


def config(name: str) -> Config:
    return load_config(str(CONFIGS / f'embae/mobilenet_{name}.py'))


def hook_of(cfg, kind):
    return next((HOOKS.build(dict(hook)) for hook in cfg.custom_hooks if hook.type == kind), None)


def leaves(node):
    if isinstance(node, list):
        return [leaf for part in node for leaf in leaves(part)]
    inner = node.get('datasets') or node.get('dataset')
    return leaves(inner) if inner else [node]


@pytest.mark.parametrize('source', SOURCES)
def test_step_1(source):
    cfg = config(f'{source}_embedding')
    sampler, step = cfg.train_dataloader.sampler, hook_of(cfg, 'TrainingStepHook')
    assert (sampler.num_pids, sampler.num_instances, cfg.train_dataloader.batch_size) == (18, 4, 72)
    assert [leaf.type for leaf in leaves(cfg.train_dataloader.dataset)] == LABELLED[source]
    assert sampler.type == ('SingleDatasetPKSampler' if len(LABELLED[source]) > 1 else 'PKSampler')
    assert (step.step, step.starts_from) == ('embedding', None) and hook_of(cfg, 'PhaseHook') is None
    assert list(cfg.model.heads) == ['tri'] and cfg.model.heads.tri.loss.margin is None
    assert cfg.optim_wrapper.optimizer.type == 'Adam' and tuple(cfg.optim_wrapper.optimizer.betas) == (0.9, 0.999)
    assert cfg.model.backbone.type == 'MobileNetV1' and cfg.model.neck.feat_channels == 128
    metrics = [(metric.metric, metric.get('prefix'), metric.protocols) for metric in cfg.val_evaluator]
    assert metrics == [('cosine', None, ['market1501', 'nd']), ('euclidean', 'raw', ['market1501', 'nd'])]


@pytest.mark.parametrize('source, form', AUTOENCODERS)
def test_step_2(source, form):
    cfg, before = config(f'{source}_autoencoder{form}'), config(f'{source}_embedding')
    for key in ('train_dataloader', 'val_dataloader', 'val_evaluator'):
        assert cfg[key] == before[key], key
    check_start(cfg, f'{source}_embedding', ('backbone', 'neck'), ('autoencoder', ('embedding', )))
    phase, = hook_of(cfg, 'PhaseHook').phases
    assert phase.trainable == ('heads.ae', ) and phase.heads_on == ('ae', ) and cfg.find_unused_parameters
    check_network(cfg, before, NUISANCE.get(form[1:], 'shared'))


def check_start(cfg, source, parts, names):
    """The file is the last one of the step before."""
    step = hook_of(cfg, 'TrainingStepHook')
    assert (step.step, step.starts_from, step.method) == (*names, 'EmbAE')
    epochs = config(source).train_cfg.max_epochs
    assert cfg.load_from == f'work_dirs/embae/mobilenet_{source}/epoch_{epochs}.pth'
    assert tuple(cfg.load_parts) == parts


def check_network(cfg, embedding, nuisance):
    """The network of the embedding, with weights of its checkpoint only."""
    assert cfg.model.neck == embedding.model.neck and cfg.model.data_preprocessor == embedding.model.data_preprocessor
    assert dict(cfg.model.backbone, init_cfg=0) == dict(embedding.model.backbone, init_cfg=0)
    assert cfg.model.backbone.init_cfg is None and list(cfg.model.heads) == ['ae']
    assert cfg.model.heads.ae.nuisance == nuisance and cfg.model.heads.ae.in_channels == cfg.model.neck.in_channels


def test_no_config_is_left_out():
    found = {path.stem for path in (CONFIGS / 'embae').glob('*.py')}
    named = {f'mobilenet_{source}_embedding' for source in SOURCES}
    named |= {f'mobilenet_{source}_autoencoder{form}' for source, form in AUTOENCODERS}
    named |= {f'mobilenet_{SOURCES[source]}_{form}' for source, form in FINE_TUNED}
    assert found == named | {f'mobilenet_{name}' for name in OWN_CAMERAS}
    recipes = {path.stem for path in (CONFIGS / 'recipes').glob('embae_*.py')}
    assert recipes == {f'embae_{SOURCES[source]}_{form}' for source, form in RECIPES}


@pytest.mark.parametrize('source, form', FINE_TUNED)
def test_step_3(source, form):
    cfg, embedding = config(f'{SOURCES[source]}_{form}'), config(f'{source}_embedding')
    trained, part = FINE_TUNING[form]
    given = f'{source}_autoencoder' + (f'_{form}' if form in NUISANCE else '')
    check_start(cfg, given, ('backbone', 'neck', part), ('fine-tuning', ('autoencoder', )))
    check_network(cfg, embedding, NUISANCE.get(form, 'shared'))
    assert config(given).model.heads.ae.nuisance == cfg.model.heads.ae.nuisance
    phases = hook_of(cfg, 'PhaseHook').phases
    assert [phase.trainable for phase in phases] == trained and all(phase.heads_on == ('ae', ) for phase in phases)
    fix = config(f'{SOURCES[source]}_fix')
    assert cfg.train_cfg.max_epochs - phases[-1].begin == fix.train_cfg.max_epochs
    rate = cfg.optim_wrapper.optimizer.lr * (cfg.param_scheduler.get('gamma', 1.0) if len(phases) == 2 else 1.0)
    assert rate == pytest.approx(fix.optim_wrapper.optimizer.lr)
    if len(phases) == 2:
        assert phases[1].begin == 10 and cfg.optim_wrapper.optimizer.lr == 1e-3  # that of step 2
        assert cfg.param_scheduler.get('milestones', [10]) == [10]
    data = cfg.train_dataloader
    assert data.dataset.type == 'UnlabelledDataset' and data.sampler == dict(type='ShuffleSampler')
    target, = leaves(data.dataset)
    assert target.type == cfg.val_dataloader.dataset.type and data.batch_size == 72
    assert target.get('split', 'train') == 'train'
    assert cfg.val_dataloader == embedding.val_dataloader and cfg.val_evaluator == embedding.val_evaluator
    assert cfg.default_hooks.initial_evaluation.type == 'InitialEvaluationHook' and cfg.find_unused_parameters


def test_source_and_target_share_nobody():
    source, = leaves(config('cams123_embedding').train_dataloader.dataset)
    target, = leaves(config('cams123_2cams456_cam').train_dataloader.dataset)
    assert (source.pid_fold, target.pid_fold) == ((0, 2), (1, 2))
    assert not set(source.keep_camids) & set(target.keep_camids)
    pul = load_config(str(CONFIGS / 'pul/resnet18_cams123_2cams456.py')).train_dataloader.dataset.dataset
    assert target == pul


def test_the_synthetic_pair_has_the_images_of_pul():
    cfg, source = config('synthetic_embedding'), load_config(str(CONFIGS / 'baseline/ide_resnet18_synthetic.py'))
    assert cfg.train_dataloader.dataset == source.train_dataloader.dataset
    target, pul = config('synthetic_a2b_fix'), load_config(str(CONFIGS / 'pul/resnet18_synthetic_a2b.py'))
    ours, theirs = leaves(target.train_dataloader.dataset)[0], leaves(pul.train_dataloader.dataset)[0]
    assert dict(theirs, split='train') == dict(ours, split='train')
    assert target.val_dataloader == pul.val_dataloader


def rates(cfg, epochs):
    """Learning rate at the beginning of each epoch, and after the last one."""
    optimizer = OptimWrapper(torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr))
    scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler, optimizer=optimizer))
    found = [optimizer.get_lr()['lr'][0]]
    for _ in range(epochs):
        scheduler.step()
        found.append(optimizer.get_lr()['lr'][0])
    return found


@pytest.mark.parametrize('source', ['duke', 'dukecuhk03viperward'])
def test_learning_rate_of_step_1(source):
    """Section 3.3, and the closed form of Hermans et al.: 1e-4 * 0.001^((t - 100) / 300)."""
    cfg = config(f'{source}_embedding')
    found = rates(cfg, cfg.train_cfg.max_epochs)
    assert len(found) == 401
    for epoch, expected in ((0, 1e-4), (99, 1e-4), (100, 1e-4), (250, 3.1622776601683795e-6), (400, 1e-7)):
        assert found[epoch] == pytest.approx(expected, rel=1e-9)
    for epoch in range(100, 401):
        assert found[epoch] == pytest.approx(1e-4 * 0.001**((epoch - 100) / 300), rel=1e-9)


@pytest.mark.parametrize('name, first, last', [
    ('synthetic_embedding', 1e-3, 1e-5), ('synthetic_autoencoder', 1e-3, 1e-5), ('duke_autoencoder', 1e-3, 1e-5),
    ('duke2market_fix', 1e-4, 1e-4), ('duke2market_new', 1e-3, 1e-4)])
def test_learning_rates_that_are_choices(name, first, last):
    cfg = config(name)
    found = rates(cfg, cfg.train_cfg.max_epochs)
    assert found[0] == pytest.approx(first) and found[-1] == pytest.approx(last)


@pytest.mark.parametrize('form', ['new', 'cam'])
def test_your_own_cameras(form):
    """Each step starts from the last file of the one before, with its network and the phases of the paper's step 3."""
    before, cam = config('folder_embedding'), '_cam' if form == 'cam' else ''
    source, cfg = config(f'folder_autoencoder{cam}'), config(f'folder2folder_{form}')
    check_start(source, 'folder_embedding', ('backbone', 'neck'), ('autoencoder', ('embedding', )))
    check_start(cfg, f'folder_autoencoder{cam}', ('backbone', 'neck', 'heads.ae.decoder'),
                ('fine-tuning', ('autoencoder', )))
    for step in (source, cfg):
        check_network(step, before, NUISANCE.get(form, 'shared'))
    assert [phase.trainable for phase in hook_of(cfg, 'PhaseHook').phases] == FINE_TUNING[form][0]
    leaf, = leaves(cfg.train_dataloader.dataset)
    assert leaf.type == 'FolderReID' and leaf.labels is False and cfg.val_dataloader is cfg.test_dataloader is None
    assert cfg.val_cfg is cfg.test_cfg is cfg.val_evaluator is cfg.test_evaluator is None
    assert ('camera_pattern' in leaf) == (cfg.model.heads.ae.nuisance == 'per_camera') == (form == 'cam')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'):
        assert source[name] == before[name]


@pytest.mark.parametrize('source, form', RECIPES)
def test_recipes(source, form):
    target = SOURCES[source]
    *before, first, second, third = load_recipe(CONFIGS / f'recipes/embae_{target}_{form}.py')
    drawn = ['drawn'] if source in FROM_DRAWN else []
    assert [stage.name for stage in before] == drawn
    assert (first.init_from, second.init_from, third.init_from) == (*(drawn or [None]), 'embedding', 'autoencoder')
    if drawn:
        given = config(f'{source}_embedding')
        assert tuple(first.carry) == tuple(given.load_parts) == ('backbone', ) and before[0].init_from is None
        assert before[0].config.stem == Path(given.load_from).parent.name
    assert third.config.stem == f'mobilenet_{target}_{form}'
    alone = config(f'{target}_{form}')
    assert tuple(third.carry) == tuple(alone.load_parts) and tuple(second.carry) == ('backbone', 'neck')
    assert second.config.stem == Path(alone.load_from).parent.name
    assert first.config.stem == Path(load_config(str(second.config)).load_from).parent.name


def test_published_numbers():
    models = yaml.safe_load((CONFIGS / 'embae/metafile.yml').read_text(encoding='utf-8'))['Models']
    assert sorted(model['Config'] for model in models) == sorted(
        f'configs/embae/{path.name}' for path in (CONFIGS / 'embae').glob('*.py'))
    found = {Path(model['Config']).stem: model['Results'] for model in models if model['Results']}
    readme = (CONFIGS / 'embae/README.md').read_text(encoding='utf-8')
    expected = {}
    for number, (source, rows) in enumerate(TABLES.items(), start=1):
        for form, scores in rows.items():
            name = f'mobilenet_{source}_embedding' if form == 'embedding' else f'mobilenet_{SOURCES[source]}_{form}'
            values = [round(100 * score, 1) for score in scores]
            expected[name] = (values, f'EmbAE, Table {number}')
            assert f'| `{name}.py` | {" | ".join(map(str, values))} |' in readme
    keys = ('rank-1', 'nd/rank-1', 'mAP', 'nd/mAP')
    assert {name: ([result['Metrics'][key] for key in keys], result['Source']) for name, (result, ) in found.items()
            if result['Published'] and result['Dataset'] == 'Market-1501'} == expected


@pytest.mark.parametrize('name', ['pul/mobilenet_synthetic_a2b', 'dtl/mobilenet_synthetic_a2b_cotrain'])
def test_what_is_compared_with_embae_starts_from_its_source(name):
    """The network of the file that it loads, which is also the one that step 1 of the small trainings loads."""
    cfg, source = (load_config(str(CONFIGS / f'{path}.py')) for path in (name, 'baseline/ide_mobilenet_synthetic'))
    assert cfg.model == source.model
    assert cfg.load_from == config('synthetic_embedding').load_from
