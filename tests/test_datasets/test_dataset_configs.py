import glob
import os.path as osp
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmreid.datasets import DATA_ROOT_ENV

ROOT = osp.join(osp.dirname(__file__), '../../configs/_base_/datasets')
CONFIGS = sorted(osp.basename(path) for path in glob.glob(osp.join(ROOT, '*.py')))
SIZES = {'market1501.py': (256, 128), 'market1501_pk.py': (256, 128), 'market1501_small.py': (128, 64),
         'market1501_mgn.py': (384, 128), 'market1501_mgn_released.py': (384, 128), 'synthetic.py': (128, 64)}
#: Those that need the tree of another data set, and the file that builds and loads them.
ELSEWHERE = {
    'cuhk01.py': 'test_cuhk01.py', 'cuhk01_100.py': 'test_cuhk01.py', 'cuhk03.py': 'test_cuhk03.py',
    'cuhk03_classic.py': 'test_cuhk03.py', 'cuhk03_detected_mgn.py': 'test_cuhk03.py',
    'cuhk03_labeled.py': 'test_cuhk03.py', 'cuhk03_labeled_mgn.py': 'test_cuhk03.py',
    'cuhk03_market.py': 'test_merged.py', 'dukemtmc.py': 'test_duke.py', 'dukemtmc_mgn.py': 'test_duke.py',
    'folder.py': 'test_merged.py', 'market_duke.py': 'test_merged.py', 'msmt17.py': 'test_msmt17.py',
    'prid2011.py': 'test_prid2011.py', 'viper.py': 'test_viper.py', 'ward.py': 'test_ward.py',
    **{f'{name}.py': 'test_pul_configs.py' for name in (
        'market1501_ide', 'dukemtmc_ide', 'cuhk03_ide', 'marketduke_ide', 'dukecuhk03_ide', 'marketcuhk03_ide',
        'market1501_pul', 'dukemtmc_pul', 'cuhk03_pul', 'synthetic_pul', 'synthetic_ide',
        'market1501_cams123', 'market1501_cams456', 'market1501_cams456_pul')},
    **{f'{name}.py': 'test_dtl_configs.py' for name in (
        'dtl_market1501', 'dtl_market1501_144x56', 'dtl_market1501_small', 'dtl_market1501_rest',
        'dtl_market1501_100ids',
        'dtl_cuhk03', 'dtl_cuhk03market', 'dtl_cuhk03market_144x56', 'dtl_viper', 'dtl_viper_144x56', 'dtl_prid2011',
        'dtl_cuhk01', 'dtl_cuhk01_871', 'dtl_synthetic', 'dtl_synthetic_b')},
    **{f'{name}.py': 'test_pla_configs.py' for name in (
        'pla_market1501', 'pla_market1501_multi', 'pla_market1501_small', 'pla_dukemtmc', 'pla_cuhk03_detected',
        'pla_cuhk03_labeled', 'pla_synthetic')}}
#: Those that are loaded by name in test_dtl_configs.py, or looked at through the configs that use them:
#: tests/test_embae_configs.py, tests/test_dtl_comparisons.py, tests/test_own_cameras.py.
IN_USE = {name for name in CONFIGS if re.match(r'embae_|dtl_cuhk03market2|dtl_\w+_unlabelled', name)} | {
    'market1501_cams123_2cams456.py', 'synthetic_a2b_unlabelled.py', 'old_cameras_ide.py', 'new_cameras_pul.py'}


def test_all_are_tested():
    assert set(CONFIGS) == set(SIZES) | set(ELSEWHERE) | IN_USE
    used = ' '.join(path.read_text(encoding='utf-8') for path in sorted(Path(ROOT).resolve().parents[1].rglob('*.py')))
    assert [name for name in sorted(IN_USE) if f"/{name}'" not in used] == []
    for name, test in ELSEWHERE.items():
        text = (Path(__file__).parent / test).read_text(encoding='utf-8')
        assert re.search(rf"['\"/]{name.removesuffix('.py')}(\.py)?['\"]", text), f'{test} does not load {name}'


@pytest.mark.parametrize('name', SIZES)
def test_config_builds_and_loads(name, market_tree, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_ENV, str(market_tree.parent))
    config = Config.fromfile(osp.join(ROOT, name))
    assert config.test_dataloader == config.val_dataloader and config.test_evaluator == config.val_evaluator
    if config.train_dataloader.sampler.type == 'PKSampler':
        sampler = config.train_dataloader.sampler
        assert config.train_dataloader.batch_size == sampler.num_pids * sampler.num_instances
        sampler.num_pids = 3
    for loader, split in ((config.train_dataloader, 'train'), (config.val_dataloader, 'test')):
        loader.batch_size, loader.num_workers, loader.persistent_workers = 3, 0, False
        with DefaultScope.overwrite_default_scope('mmreid'):
            built = Runner.build_dataloader(loader, seed=0)
        batch = next(iter(built))
        assert built.dataset.split == split
        assert all(tuple(image.shape) == (3, *SIZES[name]) for image in batch['inputs'])
