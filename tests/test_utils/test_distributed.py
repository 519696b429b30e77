"""Leaving a group of processes."""

import gc
import importlib.util
from pathlib import Path

import pytest
import torch

from mmreid.models import EmbeddingNet
from mmreid.utils.distributed import close_process_group
from tests.test_engine.toy import CONFIG

TOOLS = Path(__file__).parents[2] / 'tools'


def load(name):
    spec = importlib.util.spec_from_file_location(Path(name).stem, TOOLS / f'{name}.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def networks():
    gc.collect()
    return {id(item) for item in gc.get_objects() if isinstance(item, EmbeddingNet)}


def test_without_a_group_nothing_happens():
    close_process_group()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize('name', ['train', 'test', 'analysis_tools/extract_features'])
def test_the_tools_let_go_of_the_model_before_the_group_ends(tmp_path, monkeypatch, name):
    """A wrapped model keeps threads of the group alive, which may abort a process that shuts down."""
    config = tmp_path / 'toy.py'
    config.write_text(CONFIG.replace('WORKERS', '0'))
    common = ['--work-dir', str(tmp_path / 'work')]
    train = load('train')
    train.main([str(config), *common, '--cfg-options', 'train_cfg.max_epochs=1'])
    before, alive = networks(), []
    tool = load(name)
    monkeypatch.setattr(tool, 'close_process_group', lambda: alive.append(networks() - before))
    checkpoint = str(tmp_path / 'work' / 'epoch_1.pth')
    given = {'train': [str(config)], 'test': [str(config), checkpoint]}
    tool.main(given.get(name, [str(config), checkpoint, str(tmp_path / 'f.npz')]) + common)
    assert alive == [set()]
