"""Training on every split of a data set: what is copied, what is shared, resume, and the mean."""

import json
from functools import partial
from pathlib import Path
from statistics import fmean, pstdev

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from mmreid.engine.recipes import RecipeError, SplitsRun, load_recipe
from mmreid.engine.recipes.splits import (
    dependent_stages,
    options_of_copies,
    over_splits,
    published_splits,
    recipe_of,
    split_keys,
)
from mmreid.engine.recipes.stage_config import stage_configs
from mmreid.registry import HOOKS, RUNNERS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.config import load_config
from tests.test_engine.recipe_files import write_recipe
from tests.test_utils.test_checkpoint import same
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[2]
PIDS = range(12)
VIPER = """_base_ = './toy_a.py'
viper = dict(_delete_=True, type='VIPeR', data_root='ROOT', split_id=0, check_counts=False)
train_dataloader = dict(dataset=dict(**viper, split='train', pipeline={{_base_.pipeline}}))
val_dataloader = dict(dataset=dict(
    **viper, split='test', pipeline=[dict(type='LoadImage'), dict(type='Resize', scale=(16, 32)),
                                     dict(type='PackReIDInputs')]))
test_dataloader = val_dataloader
val_evaluator = dict(protocols=['all'])
test_evaluator = val_evaluator
custom_hooks = []
"""
STAGES = """stages = dict(
    large=dict(config='toy_a.py'),
    viper=dict(config='toy_viper.py', init_from='large'),
    more=dict(config='toy_b.py', init_from='viper'))
"""


@HOOKS.register_module()
class StopsAt(Hook):
    """A process that ends in the middle of a training, after an iteration of a stage."""
    when = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if StopsAt.when == (Path(runner.work_dir).name, runner.iter):
            raise KeyboardInterrupt


@pytest.fixture
def folder(tmp_path):
    """Toy configs, two of which are tested on VIPeR, and a miniature of it."""
    root = tmp_path / 'data' / 'VIPeR'
    for camera, angle in (('cam_a', 0), ('cam_b', 90)):
        (root / camera).mkdir(parents=True)
        for pid in PIDS:
            small = np.random.default_rng([pid, angle]).integers(0, 256, (4, 2, 3), dtype=np.uint8)
            cv2.imwrite(str(root / camera / f'{pid:03d}_{angle}.bmp'), cv2.resize(small, (16, 32)))
    write_recipe(tmp_path, STAGES, 'toy_splits.py')
    (tmp_path / 'toy_viper.py').write_text(VIPER.replace('ROOT', str(root)))
    return tmp_path


def state(work_dir):
    return json.loads((work_dir / 'recipe.json').read_text())['stages']


def weights(work_dir, name):
    return read_checkpoint(work_dir / state(work_dir)[name]['checkpoint']['path'])['state_dict']


# ---- what is copied -------------------------------------------------------------------------------------------------


def test_what_depends_on_the_split_is_copied(folder):
    recipe = load_recipe(folder / 'toy_splits.py')
    configs, _ = stage_configs(recipe)
    assert dependent_stages(recipe, configs) == ['viper', 'more']
    assert published_splits(recipe, configs) == range(10)
    expanded, copies = over_splits(recipe, configs, [0, 3])
    assert list(expanded.stages) == ['large', 'viper_split0', 'more_split0', 'viper_split3', 'more_split3']
    assert copies == dict(viper={0: 'viper_split0', 3: 'viper_split3'}, more={0: 'more_split0', 3: 'more_split3'})
    third = expanded.stages['viper_split3']
    assert third.init_from == 'large' and third.carry == recipe.stages['viper'].carry
    assert third.overrides == {f'{loader}_dataloader.dataset.split_id': 3 for loader in ('train', 'val', 'test')}
    assert expanded.stages['more_split3'].init_from == 'viper_split3'
    assert expanded.stages['more_split3'].overrides == {}
    cfg = stage_configs(expanded)[0]['viper_split3']
    assert {cfg[f'{loader}_dataloader'].dataset.split_id for loader in ('train', 'val', 'test')} == {3}
    assert stage_configs(expanded)[0]['viper_split0'].train_dataloader.dataset.split_id == 0


def test_options_of_a_stage_go_to_its_copies():
    copies = dict(viper={0: 'viper_split0', 1: 'viper_split1'})
    options = {'viper.a.b': 1, 'viper_split1.c': 2, 'large.a': 3, 'train_cfg.max_epochs': 4, 'log_level': 'INFO'}
    assert options_of_copies(options, copies) == {
        'viper_split0.a.b': 1, 'viper_split1.a.b': 1, 'viper_split1.c': 2, 'large.a': 3, 'train_cfg.max_epochs': 4,
        'log_level': 'INFO'}


def test_unlabelled_images_of_the_tested_set_follow_its_split_and_the_source_does_not():
    """One or several targets; a source of the very set that is tested keeps its split, too."""
    viper, market = dict(type='VIPeR', split_id=0), dict(type='Market1501')
    cuhk03 = dict(type='CUHK03', protocol='classic', split_id=0)

    def keys(source, target):
        loader = dict(dataset=dict(type='SourceTargetDataset', source=source, target=target))
        return split_keys(Config(dict(train_dataloader=loader, test_dataloader=dict(dataset=viper))))

    place, tested = 'train_dataloader.dataset.target', 'test_dataloader.dataset.split_id'
    assert keys(dict(type='MergedReIDDataset', datasets=[cuhk03, market]), viper) == [f'{place}.split_id', tested]
    assert keys(market, [market, viper]) == [f'{place}.1.split_id', tested]
    assert keys(viper, dict(type='UnlabelledDataset', dataset=viper)) == [f'{place}.dataset.split_id', tested]
    assert keys(viper, cuhk03) == [tested]


@pytest.mark.parametrize('name, number', [
    ('dtl/googlenet_viper', 10), ('dtl/googlenet_prid2011', 10), ('dtl/googlenet_cuhk01', 10),
    ('dtl/googlenet_cuhk03_detected', 20), ('dtl/googlenet_cuhk03_labeled', 20),
    ('dtl/googlenet_cuhk03market', 0),  # a split of CUHK03 to train on, tested on Market-1501
    ('dtl/googlenet_market', 0), ('ptl/resnet50_msmt17', 0), ('baseline/ide_resnet50_cuhk03', 0)])
def test_data_sets_with_splits(name, number):
    recipe = recipe_of(ROOT / f'configs/{name}.py')
    configs, _ = stage_configs(recipe)
    keys = [f'{loader}_dataloader.dataset.split_id' for loader in ('train', 'val', 'test')]
    assert split_keys(configs['training']) == (keys if number else [])
    if number:
        assert published_splits(recipe, configs) == range(number)
    else:
        with pytest.raises(RecipeError, match='no stage is tested on a data set with random splits'):
            published_splits(recipe, configs)


def test_a_config_that_loads_weights_is_a_stage_that_starts_from_them(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / 'loads.py').write_text("_base_ = './toy_viper.py'\nload_from = 'some/file.pth'\n"
                                     "load_parts = ('backbone', 'neck', 'heads.ver')\n")
    stage = recipe_of('loads.py').stages['training']
    assert stage.init_from == str(folder / 'some' / 'file.pth') and stage.carry == ('backbone', 'neck', 'heads.ver')
    cfg = stage_configs(recipe_of('loads.py'))[0]['training']
    assert cfg.load_from is None and cfg.load_parts is None


@pytest.mark.parametrize('prefix', ['', 'training.'])
def test_a_file_of_the_options_is_what_every_split_starts_from(folder, prefix):
    """Of the weights of a training elsewhere, and of those of its parts that the options name."""
    given = dict(splits=[0], options={'train_cfg.max_epochs': 1})
    SplitsRun(folder / 'toy_viper.py', work_dir=folder / 'source', **given).run()
    file = folder / 'source' / state(folder / 'source')['training_split0']['checkpoint']['path']
    given['options'] = {'train_cfg.max_epochs': 1, f'{prefix}load_from': str(file), 'optim_wrapper.optimizer.lr': 0.0,
                        f'{prefix}load_parts': ('backbone', )}
    SplitsRun(folder / 'toy_viper.py', work_dir=folder / 'work', **given).run()
    entry = state(folder / 'work')['training_split0']
    assert entry['init_from']['path'] == str(file) and entry['carry'] == ['backbone']
    before, after = weights(folder / 'source', 'training_split0'), weights(folder / 'work', 'training_split0')
    # Learning rate 0: what has no statistics of its own is what was loaded, and the head is another one.
    assert all((before[key] == after[key]).all() for key in before
               if key.startswith('backbone.') and key.endswith(('weight', 'bias')))
    assert not (before['heads.id.classifier.weight'] == after['heads.id.classifier.weight']).all()


def test_a_file_for_one_stage_of_a_recipe_is_still_refused(folder):
    with pytest.raises(RecipeError, match='init_from of the stage'):
        SplitsRun(folder / 'toy_splits.py', [0], folder / 'work', options={'large.load_from': 'a.pth'})
    with pytest.raises(RecipeError, match='load_parts says what is taken over from load_from, which is not given'):
        SplitsRun(folder / 'toy_viper.py', [0], folder / 'work', options={'load_parts': ('backbone', )})


# ---- what is run ----------------------------------------------------------------------------------------------------


def test_every_split_is_what_a_training_of_its_own_gives(folder):
    """Split 4 of the command, and the same config with this split trained by hand."""
    run = SplitsRun(folder / 'toy_viper.py', [1, 4], folder / 'work')
    assert not (folder / 'work').exists()
    means = run.run()
    cfg = load_config(str(folder / 'toy_viper.py'), {
        f'{loader}_dataloader.dataset.split_id': 4 for loader in ('train', 'val', 'test')})
    cfg.work_dir = str(folder / 'by_hand')
    runner = RUNNERS.build(cfg)
    runner.train()
    assert same(runner.model.state_dict(), weights(folder / 'work', 'training_split4'))
    assert not same(weights(folder / 'work', 'training_split1'), weights(folder / 'work', 'training_split4'))
    expected = runner.val_loop.run()
    assert {key: score['values'][1] for key, score in means['training'].items()} == pytest.approx(
        {key: value for key, value in expected.items() if not key.endswith('-std')})


def test_means_and_what_is_shared(folder):
    run = SplitsRun(folder / 'toy_splits.py', [0, 1, 2], folder / 'work', options={'train_cfg.max_epochs': 1})
    means = run.run()
    stages = state(folder / 'work')
    assert [name for name in stages if name.startswith('large')] == ['large'] and len(stages) == 7
    for split in range(3):
        assert stages[f'viper_split{split}']['init_from'] == dict(stage='large', **stages['large']['checkpoint'])
    values = [stages[f'viper_split{split}']['metrics']['all/mAP'] for split in range(3)]
    assert len(set(values)) > 1
    assert means['viper']['all/mAP'] == dict(mean=fmean(values), std=pstdev(values), values=values)
    assert json.loads((folder / 'work' / 'splits.json').read_text()) == dict(
        file=str(folder / 'toy_splits.py'), splits=[0, 1, 2], stages=means)
    assert f'{fmean(values):.2f} ± {pstdev(values):.2f}' in run.results and 'over 3 split(s)' in run.results


def test_interrupted_inside_a_split(folder, monkeypatch):
    """The second of three splits stops between two epochs; nothing finished is trained again, and no bit differs."""
    options = {'custom_hooks': [dict(type='StopsAt')], 'default_hooks.checkpoint.by_epoch': False,
               'default_hooks.checkpoint.interval': 1}
    given = dict(splits=[0, 1, 2], options=options)
    SplitsRun(folder / 'toy_splits.py', work_dir=folder / 'whole', **given).run()
    monkeypatch.setattr(StopsAt, 'when', ('viper_split1', 2))
    with pytest.raises(KeyboardInterrupt):
        SplitsRun(folder / 'toy_splits.py', work_dir=folder / 'parts', **given).run()
    monkeypatch.setattr(StopsAt, 'when', None)
    before = {name: entry['checkpoint'] for name, entry in state(folder / 'parts').items() if 'checkpoint' in entry}
    assert list(before) == ['large', 'viper_split0', 'more_split0']
    with pytest.raises(RecipeError, match='Go on with --resume'):
        SplitsRun(folder / 'toy_splits.py', work_dir=folder / 'parts', **given)
    again = SplitsRun(folder / 'toy_splits.py', work_dir=folder / 'parts', resume=True, **given)
    assert 'viper_split1: ' in again.plan and '(goes on)' in again.plan and again.plan.count('(finished, skipped)') == 3
    means = again.run()
    starts = {name: entry['starts'] for name, entry in state(folder / 'parts').items()}
    assert starts == {name: 2 if name == 'viper_split1' else 1 for name in starts} and len(starts) == 7
    for name in starts:
        assert same(weights(folder / 'whole', name), weights(folder / 'parts', name)), name
    assert means == json.loads((folder / 'whole' / 'splits.json').read_text())['stages']


def test_more_splits_later(folder):
    short = {'train_cfg.max_epochs': 1}
    SplitsRun(folder / 'toy_viper.py', [2], folder / 'work', options=short).run()
    means = SplitsRun(folder / 'toy_viper.py', [2, 5], folder / 'work', resume=True, options=short).run()
    assert {entry['starts'] for entry in state(folder / 'work').values()} == {1}
    assert len(means['training']['all/mAP']['values']) == 2


def test_fewer_splits_later(folder):
    short = {'train_cfg.max_epochs': 1}
    SplitsRun(folder / 'toy_viper.py', [2, 5], folder / 'work', options=short).run()
    with pytest.raises(RecipeError, match=r'split 2, 5 was begun .*--splits, which may be extended, not cut: '
                                          r'--splits 2 4 5,'):
        SplitsRun(folder / 'toy_viper.py', [4], folder / 'work', resume=True, options=short)


def test_a_metric_that_not_every_split_has(folder):
    """The second split is evaluated under one protocol more, the third under another one."""
    options = {'train_cfg.max_epochs': 1, 'training_split1.val_evaluator.protocols': ['all', 'nd'],
               'training_split2.val_evaluator.protocols': ['nd']}
    run = SplitsRun(folder / 'toy_viper.py', [0, 1, 2], folder / 'work', options=options)
    means = run.run()
    assert means == dict(training={}) and set(run.lacking()) == {'training'}
    lacking = run.lacking()['training']
    assert lacking['all/mAP'] == [2] and lacking['nd/mAP'] == [0]
    assert 'training: no mean of all/mAP, which is missing in split 2' in run.results
    assert SplitsRun(folder / 'toy_viper.py', [0, 1], folder / 'work_2', options={'train_cfg.max_epochs': 1}) \
        .run()['training']['all/mAP']


def test_command(folder):
    run = partial(run_tool, 'train_splits', folder / 'toy_viper.py', '--work-dir', folder / 'work', '--splits', 0, 1,
                  '--cfg-options', 'train_cfg.max_epochs=1')
    planned = run('--dry-run')
    assert planned.returncode == 0, planned.stderr
    assert '2. training_split1' in planned.stdout and not (folder / 'work').exists()
    done = run()
    assert done.returncode == 0, done.stderr
    assert 'over 2 split(s)' in done.stdout and (folder / 'work' / 'splits.json').is_file()
    refused = run()
    assert refused.returncode != 0 and '--resume' in refused.stderr and 'Traceback' not in refused.stderr


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('splits, message', [
    ([0, 0], r'different numbers, got \[0, 0\]'), ([], 'different numbers'),
    ([3, 10], 'split_id must be one of 0 to 9, got 10')])
def test_splits_that_do_not_exist(folder, splits, message):
    with pytest.raises(RecipeError, match=message):
        SplitsRun(folder / 'toy_viper.py', splits, folder / 'work')


@pytest.mark.parametrize('key', [
    'train_dataloader.dataset.split_id', 'viper.val_dataloader.dataset.split_id',
    'viper_split0.test_dataloader.dataset.split_id'])
def test_options_that_set_the_split(folder, key):
    with pytest.raises(RecipeError, match=rf'"viper_split0" would have {key.split(".", key.startswith("viper"))[-1]}=7'
                                          r': an option sets it, for which there is --splits \(--splits 7\)'):
        SplitsRun(folder / 'toy_splits.py', [0, 1], folder / 'work', options={key: 7})


def test_an_option_that_takes_the_splits_away(folder):
    data = dict(type='SyntheticReID', domain='a', split='test')
    with pytest.raises(RecipeError, match=r'have no val_dataloader\.dataset\.split_id: .* data set without splits'):
        SplitsRun(folder / 'toy_viper.py', [0], folder / 'work', options={
            'val_dataloader.dataset': dict(data, _delete_=True)})


def test_nothing_to_average(folder):
    options = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)
    with pytest.raises(RecipeError, match=r'nothing to average: no validation \(.*\) in viper, more'):
        SplitsRun(folder / 'toy_splits.py', [0], folder / 'work', options=options)
    assert not (folder / 'work').exists()


def test_data_without_splits(folder):
    for splits in (None, [0]):
        with pytest.raises(RecipeError, match='no stage is tested on a data set with random splits'):
            SplitsRun(folder / 'toy_a.py', splits, folder / 'work')


def test_different_numbers_of_splits(folder):
    (folder / 'toy_cuhk03.py').write_text(
        "_base_ = './toy_viper.py'\nval_dataloader = dict(dataset=dict(type='CUHK03', protocol='classic'))\n"
        'test_dataloader = val_dataloader\n')
    recipe = folder / 'both.py'
    recipe.write_text("stages = dict(a=dict(config='toy_viper.py'), b=dict(config='toy_cuhk03.py', init_from='a'))\n")
    with pytest.raises(RecipeError, match="different numbers of splits, {'a': 10, 'b': 20}; say which with --splits"):
        SplitsRun(recipe, work_dir=folder / 'work')


def test_a_stage_with_the_name_of_a_copy(folder):
    recipe = folder / 'clash.py'
    recipe.write_text("stages = dict(v=dict(config='toy_viper.py'), v_split1=dict(config='toy_a.py'))\n")
    with pytest.raises(RecipeError, match='may not be called v_split1'):
        SplitsRun(recipe, [1], folder / 'work')


def test_a_missing_file(folder):
    with pytest.raises(ValueError, match='does not exist'):
        SplitsRun(folder / 'nowhere.py')
