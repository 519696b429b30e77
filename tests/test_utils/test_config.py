"""Misspelt configs and options are found before anything runs."""

import pytest

from mmreid.utils.config import ConfigError, load_config

CONFIG = """
model = dict(type='EmbeddingNet', backbone=dict(type='ResNetTaps', depth=50), heads=dict(id=dict(num_classes=None)))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
param_scheduler = [dict(type='StepLR', step_size=10)]
train_pipeline = [dict(type='LoadImage')]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize('option, value, read', [
    ('optim_wrapper.optimizer.lr', 0.5, lambda cfg: cfg.optim_wrapper.optimizer.lr),
    ('model.backbone.init_cfg', None, lambda cfg: cfg.model.backbone.init_cfg),
    ('param_scheduler.0.step_size', 3, lambda cfg: cfg.param_scheduler[0].step_size),
    ('load_from', 'x.pth', lambda cfg: cfg.load_from),
    ('optim_wrapper.clip_grad.max_norm', 10, lambda cfg: cfg.optim_wrapper.clip_grad.max_norm),
    ('randomness.seed', 3, lambda cfg: cfg.randomness.seed),
])
def test_options_are_applied(config, option, value, read):
    assert read(load_config(str(config), {option: value})) == value


@pytest.mark.parametrize('option, expected', [
    ('optim_wraper.optimizer.lr', 'did you mean optim_wrapper'),
    ('model.backbon.depth', r'no "backbon" in "model"; did you mean backbone'),
    ('load_form', 'did you mean load_from'),
    ('param_scheduler.4.step_size', 'is a list of 1, "4" is no index'),
    ('model.backbone.depth.x', 'model.backbone.depth is 50 and has no keys'),
    ('nonsense', 'there is no "nonsense"'),
])
def test_wrong_options_name_the_mistake(config, option, expected):
    with pytest.raises(ConfigError, match=expected):
        load_config(str(config), {option: 1})


def test_misspelt_top_level_key(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('train_dataloder = dict()\n')
    with pytest.raises(ConfigError, match='did you mean "train_dataloader"'):
        load_config(str(path))


def test_missing_config():
    with pytest.raises(ConfigError, match='configs/nowhere.py does not exist'):
        load_config('configs/nowhere.py')
