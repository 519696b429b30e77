"""Misspelt configs and options are found before anything runs."""

import argparse

import pytest
from mmengine.config import Config

from mmreid.utils.config import ConfigError, config_from_arguments, evaluation_differences, load_config

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


def test_missing_base_is_named(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'a.py').write_text("_base_ = 'mmreid/configs/none.py'\n")
    (tmp_path / 'sub' / 'b.py').write_text("_base_ = '../a.py'\n")
    for path in (tmp_path / 'a.py', tmp_path / 'sub' / 'b.py'):
        with pytest.raises(ConfigError) as error:
            load_config(str(path))
        assert f'Config {path} names a base' in str(error.value) and 'not in the current folder' in str(error.value)
        assert str(tmp_path / 'mmreid/configs/none.py') in str(error.value)
    (tmp_path / 'c.py').write_text("open('none.csv')\n")
    with pytest.raises(ConfigError, match=r"c\.py: .*'none\.csv'$"):
        load_config(str(tmp_path / 'c.py'))


# ---- validation and test -------------------------------------------------------------------------------------------

SAME = dict(
    val_dataloader=dict(batch_size=8, dataset=dict(type='FolderReID', data_root='a', pipeline=[1], split='val')),
    val_evaluator=dict(protocols=['market1501', 'nd']),
    test_dataloader=dict(dataset=dict(type='FolderReID', data_root='a', pipeline=[2], split='test', multi_query=True)),
    test_evaluator=[dict(protocols=['market1501']), dict(protocols=['nd'], post_processors=[dict(type='PCA')])])


def test_tests_may_have_settings_of_their_own():
    assert evaluation_differences(Config(SAME)) == []
    for name in SAME:
        assert evaluation_differences(Config(dict(SAME, **{name: None}))) == []


def test_other_images_and_protocols_are_differences():
    cfg = Config(SAME)
    cfg.val_dataloader.dataset.update(data_root='b', camera_pattern='x')
    cfg.test_evaluator[0].protocols = ['all']
    images, protocols = evaluation_differences(cfg)
    assert "val_dataloader has images of camera_pattern='x', data_root='b', test_dataloader of camera_pattern=None, " \
           "data_root='a'" in images
    assert "protocols=['market1501', 'nd'], test_evaluator has ['all', 'nd']" in protocols


def test_the_command_line_warns(tmp_path, monkeypatch):
    warned = []
    monkeypatch.delenv('RANK', raising=False)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr('mmreid.utils.config.print_log', lambda text, **_: warned.append(text))
    path = tmp_path / 'config.py'
    path.write_text('\n'.join(f'{name} = {value!r}' for name, value in SAME.items()))

    def read(options):
        warned.clear()
        config_from_arguments(argparse.Namespace(config=str(path), cfg_options=options, local_rank=0, launcher='none',
                                                 work_dir=None))
        return len(warned)

    assert read(None) == 0
    assert read({'val_dataloader.dataset.data_root': 'b'}) == 1 and "data_root='b'" in warned[0]
    assert read({'test_dataloader.dataset.data_root': 'b'}) == 0  # another test is what was asked for
    monkeypatch.setenv('RANK', '1')
    assert read({'val_dataloader.dataset.data_root': 'b'}) == 0  # one process says it
