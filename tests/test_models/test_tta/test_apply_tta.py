"""The entry of a config, the checkpoint and the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmreid.models.tta import apply_tta, choose_tta
from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmreid.utils.config import ConfigError, load_config
from tests.test_engine.toy import CONFIG, toy_config, toy_runner
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[3]
TTA = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py').tta
TESTING = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_cfg',
           'val_evaluator')


def sizes(cfg):
    return [step['scale'] for step in cfg.test_dataloader.dataset.pipeline if step['type'] == 'Resize']


def test_flip_wraps_the_model_alone():
    cfg = load_config(str(ROOT / 'configs/baseline/resnet50_market.py'))
    network = cfg.model.to_dict()
    apply_tta(cfg, 'flip')
    assert cfg.model.type == 'ReIDTTAModel' and cfg.model.views == 'flip' and 'crop_size' not in cfg.model
    assert cfg.model.module.to_dict() == network
    assert sizes(cfg) == [(128, 256)]


def test_ten_crop_enlarges_and_crops_to_the_old_size():
    cfg = load_config(str(ROOT / 'configs/baseline/resnet50_market.py'))
    apply_tta(cfg, 'ten_crop')
    assert sizes(cfg) == [(144, 288)] and cfg.model.crop_size == (256, 128)
    assert 'crop_size' not in cfg.tta.ten_crop.model  # the entry stays as it was written
    assert cfg.train_dataloader.dataset.pipeline[1]['scale'] == (128, 256)


def test_several_resizes_of_one_size(tmp_path):
    cfg = toy_config(tmp_path, tta=TTA)
    shared = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[shared, dict(shared, domain='b')])
    apply_tta(cfg, 'ten_crop')
    assert [step['scale'] for data in cfg.test_dataloader.dataset.datasets for step in data.pipeline
            if step['type'] == 'Resize'] == [(18, 36)] * 2


@pytest.mark.parametrize('scales, found', [
    ([], 'none'),
    ([(16, 32), (8, 8)], r'\(16, 32\), \(8, 8\)'),
    ([None], 'None'),
])
def test_the_size_must_be_told_once(tmp_path, scales, found):
    cfg = toy_config(tmp_path, tta=TTA)
    cfg.test_dataloader.dataset.pipeline = [dict(type='Resize', scale=scale) for scale in scales]
    with pytest.raises(ConfigError, match=f'needs one Resize.*found: {found}'):
        apply_tta(cfg, 'ten_crop')


def test_unknown_names(tmp_path):
    with pytest.raises(ConfigError, match='no test-time augmentation "flop".*flip, ten_crop'):
        apply_tta(toy_config(tmp_path, tta=TTA), 'flop')
    with pytest.raises(ConfigError, match='Entries of its tta: none .configs/_base_/default_runtime.py'):
        apply_tta(toy_config(tmp_path), 'flip')
    with pytest.raises(ConfigError, match='tta.flip of the config must be dict'):
        apply_tta(toy_config(tmp_path, tta=dict(flip='flip')), 'flip')


@pytest.mark.parametrize('asked, expected', [(None, 'flip'), ('none', None), ('ten_crop', 'ten_crop')])
def test_a_config_may_choose(tmp_path, asked, expected):
    cfg = toy_config(tmp_path, tta=dict(TTA, default='flip'))
    assert choose_tta(cfg, asked) == expected
    assert choose_tta(toy_config(tmp_path, tta=TTA), None) is None and choose_tta(toy_config(tmp_path), None) is None
    with pytest.raises(ConfigError, match='"flop".*Entries of its tta: flip, ten_crop.$'):
        apply_tta(cfg, 'flop')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    toy_runner(folder, train_cfg__max_epochs=1, val_cfg=None, val_dataloader=None, val_evaluator=None).train()
    return folder / 'epoch_1.pth'


def runner(folder, checkpoint, name, **options):
    cfg = toy_config(folder, tta=TTA, load_from=str(checkpoint), **{key: None for key in TESTING}, **options)
    if name:
        apply_tta(cfg, name)
    return RUNNERS.build(cfg)


def test_checkpoints_are_those_of_the_network(tmp_path, checkpoint):
    """A checkpoint fits with and without the wrapper, and a wrapped network that is saved has no other names."""
    built = runner(tmp_path, checkpoint, 'ten_crop')
    metrics = built.test()
    weights = read_checkpoint(checkpoint)['state_dict']
    own = built.model.module.state_dict()
    assert set(own) == set(weights) and all(torch.equal(own[key], weights[key]) for key in own)
    assert 0 < metrics['market1501/mAP'] <= 100
    with pytest.raises(CheckpointError, match='(?s)does not fit this EmbeddingNet.*missing: backbone.stem'):
        write_checkpoint(dict(meta={}, state_dict={key: value for key, value in weights.items() if 'stem' not in key}),
                         tmp_path / 'part.pth')
        runner(tmp_path, tmp_path / 'part.pth', 'flip').test()


def test_a_checkpoint_that_does_not_tell_its_identities(tmp_path, checkpoint):
    weights = {key: value for key, value in read_checkpoint(checkpoint)['state_dict'].items()
               if not key.startswith('heads')}
    write_checkpoint(dict(meta={}, state_dict=weights), tmp_path / 'bare.pth')
    built = runner(tmp_path, tmp_path / 'bare.pth', 'flip')
    assert not built.model.module.heads
    built.test()


@pytest.mark.parametrize('fp16', [False, True])
def test_the_test_loop_gets_the_mean(tmp_path, checkpoint, fp16):
    """Features of the whole loop, also in reduced precision, equal the mean of those of two plain loops."""
    dumped = []
    flip = dict(type='RandomFlip', prob=1.0)
    for number, (name, mirrored) in enumerate(((None, False), (None, True), ('flip', False))):
        cfg = toy_config(tmp_path)
        pipeline = [*cfg.test_dataloader.dataset.pipeline]
        pipeline[2:2] = [flip] if mirrored else []
        file = tmp_path / f'{fp16}{number}.npz'
        runner(tmp_path, checkpoint, name, test_cfg=dict(fp16=fp16), test_evaluator__dump=str(file),
               test_dataloader__dataset__pipeline=pipeline).test()
        dumped.append(np.load(file)['gallery_feats'])
    np.testing.assert_allclose(dumped[2], (dumped[0] + dumped[1]) / 2, rtol=1e-5, atol=1e-6)
    assert np.abs(dumped[2] - dumped[0]).max() > 1e-3


def test_command_line(tmp_path, checkpoint):
    config = tmp_path / 'toy.py'
    config.write_text(CONFIG.replace('WORKERS', '0') + f'\ntta = {TTA.to_dict()}\n')
    command = ['test', config, checkpoint, '--work-dir', tmp_path]
    done = run_tool(*command, '--tta', 'ten_crop')
    assert done.returncode == 0, done.stderr
    logged = [json.loads(file.read_text()) for file in tmp_path.glob('*/*.json')]
    metrics = next(values for values in logged if 'market1501/mAP' in values)
    assert 0 < metrics['market1501/mAP'] <= 100
    done = run_tool(*command, '--tta', 'ten_crops')
    assert done.returncode != 0 and 'flip, ten_crop' in done.stderr.strip().splitlines()[-1]
    config.write_text(CONFIG.replace('WORKERS', '0') + f"\ntta = {dict(TTA.to_dict(), default='flip')}\n")
    for number, (options, used) in enumerate((([], 'flip'), (['--tta', 'none'], None))):
        folder = tmp_path / str(number)
        done = run_tool(*command[:-1], folder, *options)
        assert done.returncode == 0, done.stderr
        assert json.loads(next(folder.glob('*/evaluation.json')).read_text())['source']['tta'] == used
