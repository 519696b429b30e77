"""How images are prepared where a config has no test set."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmreid.apis import ReIDInferencer, add_test_dataloader, find_test_pipeline, require_test_set
from mmreid.utils.config import ConfigError, load_config
from tests.tool_runs import run_tool

CONFIGS = Path(__file__).parents[2] / 'configs'
LOAD, PACK, FLIP = dict(type='LoadImage'), dict(type='PackReIDInputs'), dict(type='RandomFlip', prob=.5)
RESIZE, PAD = dict(type='Resize', scale=(16, 32)), dict(type='Pad', size=(16, 32))
TRAINING, TESTING = [LOAD, RESIZE, FLIP, PACK], [LOAD, RESIZE, PACK]


def loader(**dataset):
    return dict(batch_size=2, dataset=dict(type='FolderReID', **dataset))


@pytest.mark.parametrize('loaders, expected', [
    (dict(train=loader(pipeline=TRAINING), test=loader(pipeline=TESTING)), TESTING),
    (dict(train=loader(pipeline=TRAINING), val=loader(pipeline=TESTING), test=None), TESTING),
    (dict(train=loader(pipeline=TRAINING), test=loader(datasets=[dict(pipeline=TESTING), dict(pipeline=TESTING)])),
     TESTING),
    (dict(train=loader(pipeline=TRAINING, test_pipeline=TESTING, dataset=dict(pipeline=[PAD]))), TESTING),
    (dict(train=loader(dataset=dict(datasets=[dict(pipeline=TRAINING)]))), TESTING),
    (dict(train=loader(pipeline=[LOAD, PAD, dict(type='mmpretrain.RandomErasing'), dict(type='mmpretrain.ColorJitter'),
                                 PACK])), [LOAD, PAD, PACK]),
])
def test_the_pipeline_is_found(loaders, expected):
    cfg = Config({f'{name}_dataloader': value for name, value in loaders.items()})
    assert find_test_pipeline(cfg) == expected


@pytest.mark.parametrize('loaders, message', [
    ({}, 'the config says nowhere how images are prepared'),
    (dict(train=None, test=loader()), 'says nowhere'),
    (dict(train=loader(pipeline=[LOAD, dict(type='Mystery'), PACK])), 'whether its Mystery draws at random is not'),
    (dict(train=loader(pipeline=[LOAD, dict(type='mmpretrain.RandomCrop', crop_size=(16, 8)), PACK])),
     'its RandomCrop changes the size'),
    (dict(test=loader(datasets=[dict(pipeline=TESTING), dict(pipeline=[LOAD, PACK])])), 'by 2 different pipelines'),
])
def test_what_cannot_be_known_is_said(loaders, message):
    with pytest.raises(ConfigError, match=message):
        find_test_pipeline(Config({f'{name}_dataloader': value for name, value in loaders.items()}))


def test_a_test_loader_is_only_added_where_there_is_none():
    cfg = Config(dict(train_dataloader=loader(pipeline=TRAINING), test_dataloader=None, test_cfg=None))
    add_test_dataloader(cfg)
    assert cfg.test_dataloader.dataset.pipeline == TESTING and cfg.test_cfg == {}
    assert cfg.train_dataloader.dataset.pipeline == TRAINING
    before = cfg.test_dataloader.to_dict()
    add_test_dataloader(cfg)
    assert cfg.test_dataloader.to_dict() == before


def test_every_config_for_own_images_has_one():
    names = [path for path in sorted(CONFIGS.glob('*/*folder*.py')) if path.parent.name not in ('_base_', 'recipes')]
    assert len(names) > 3
    for path in names:
        kinds = [str(step['type']) for step in find_test_pipeline(load_config(str(path)))]
        assert kinds[0] == 'LoadImage' and kinds[-1] == 'PackReIDInputs'
        assert not any('Random' in kind for kind in kinds), path


@pytest.mark.parametrize('key', ['test_dataloader', 'test_evaluator'])
def test_a_test_set_is_required(key):
    cfg = Config(dict(test_dataloader=loader(), test_evaluator=dict(type='ReIDMetric')))
    require_test_set(cfg, 'x.py')
    cfg[key] = None
    with pytest.raises(ConfigError, match=rf'x.py has no labelled test set \({key}\).*--split train'):
        require_test_set(cfg, 'x.py')


# ---- the tools ----------------------------------------------------------------------------------
WITHOUT = '\nval_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None\n'


@pytest.fixture
def without(tmp_path, toy):
    path = tmp_path / 'without.py'
    path.write_text(toy.config.read_text() + WITHOUT)
    return path


def test_features_without_a_test_set(tmp_path, toy, without):
    for config, name in ((toy.config, 'with'), (without, 'without')):
        done = run_tool('analysis_tools/extract_features', config, toy.checkpoint, tmp_path / f'{name}.npz',
                        '--work-dir', tmp_path)
        assert done.returncode == 0, done.stderr
    found, expected = np.load(tmp_path / 'without.npz'), np.load(tmp_path / 'with.npz')
    assert sorted(found) == sorted(expected) and np.abs(found['train_feats'] - expected['train_feats']).max() < 1e-6
    images = ReIDInferencer(without, toy.checkpoint, 'cpu').extract(found['train_paths'].tolist())
    assert len(images) == 12 and (images.feats == found['train_feats']).all()
    assert all('bounding_box_train' in path for path in images.paths)
    flipped = run_tool('analysis_tools/extract_features', without, toy.checkpoint, tmp_path / 'tta.npz', '--work-dir',
                       tmp_path, '--tta', 'flip', '--cfg-options', 'tta=dict(flip=dict(model=dict('
                       'type="ReIDTTAModel",views="flip")))')
    assert flipped.returncode == 0, flipped.stderr
    assert np.abs(np.load(tmp_path / 'tta.npz')['train_feats'] - found['train_feats']).max() > 1e-4


@pytest.mark.parametrize('tool, arguments, message', [
    ('test', (), 'without.py has no labelled test set (test_dataloader, test_evaluator)'),
    ('analysis_tools/extract_features', ('f.npz', '--split', 'test'), 'has no test_dataloader; use --split train'),
])
def test_tools_say_what_to_use_instead(tmp_path, toy, without, tool, arguments, message):
    done = run_tool(tool, without, toy.checkpoint, *arguments, '--work-dir', tmp_path, cwd=tmp_path)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert message in done.stderr.splitlines()[-1]


def test_a_wrong_number_of_classes_ends_a_training_with_one_line(tmp_path, toy):
    done = run_tool('train', toy.config, '--work-dir', tmp_path, '--cfg-options', 'model.heads.id.num_classes=9')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'num_classes=9 of a ClassificationHead does not match the training data, which have 3 identities' in \
        done.stderr.splitlines()[-1]
