"""MGN and MGN+PTL through the runner: classes filled in, training, checkpoints between data sets, flips in the test."""

import re
from pathlib import Path

import pytest
import torch

from mmreid.models import latent_state_dict
from mmreid.models.tta import apply_tta, choose_tta
from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.config import drop_training, load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
SMALL = dict(num_train_pids=6, num_test_pids=3, num_cams=2, num_images=2, num_distractors=2, num_junk=1, size=(96, 32))


def small_config(name, work_dir, domain='a'):
    """A config of the repository on ResNet-18 and a few synthetic images."""
    cfg = load_config(str(CONFIGS / name))
    cfg.model.backbone.update(depth=18, init_cfg=None)
    if cfg.model.neck.type == 'MGNPTLNeck':
        cfg.model.neck.update(in_channels=(3, 64, 64, 128, 256), branch_channels=512)
    else:
        cfg.model.neck.in_channels = 512
        for head in cfg.model.heads.values():
            if head.head.get('in_channels') == 2048:
                head.head.in_channels = 512
    steps = [dict(type='LoadImage'), dict(type='PackReIDInputs')]
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'test')):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset = dict(type='SyntheticReID', domain=domain, split=split, pipeline=steps, **SMALL)
    cfg.train_dataloader.update(batch_size=6)
    cfg.train_dataloader.sampler.update(num_pids=3, num_instances=2)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator = dict(type='ReIDMetric', protocols=['market1501'])
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.merge_from_dict({'default_hooks.checkpoint.save_best': None, 'log_level': 'ERROR', 'randomness.seed': 0})
    cfg.work_dir, cfg.launcher = str(work_dir), 'none'
    return cfg


def train(cfg):
    runner = RUNNERS.build(cfg)
    runner.train()
    return runner


@pytest.mark.parametrize('name', ['mgn/resnet50_market.py', 'mgn/resnet50_market_wang.py',
                                  'ptl/mgn_resnet50_market_released.py'])
def test_one_epoch_from_the_config(tmp_path, name):
    runner = train(small_config(name, tmp_path))
    logged = {key: runner.message_hub.get_scalar(f'train/{key}').current()
              for key in ('loss', 'id.loss_ce', 'triplet.loss_triplet', 'triplet.num_anchors')}
    assert all(torch.isfinite(torch.tensor(value)) for value in logged.values()) and logged['triplet.num_anchors'] == 6
    state = read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']
    classifiers = [key for key in state if key.endswith('classifier.weight')]
    assert len(classifiers) == 8 and {len(state[key]) for key in classifiers} == {6}
    assert bool(latent_state_dict(runner.model)) == ('ptl' in name)


def test_classifiers_of_other_people_start_anew(tmp_path):
    """As many identities, but others: all eight classifiers keep their initial weights, everything else is taken."""
    train(small_config('ptl/mgn_resnet50_market.py', tmp_path / 'a'))
    first = read_checkpoint(tmp_path / 'a' / 'epoch_1.pth')['state_dict']
    cfg = small_config('ptl/mgn_resnet50_market.py', tmp_path / 'b', domain='b')
    cfg.load_from = str(tmp_path / 'a' / 'epoch_1.pth')
    runner = RUNNERS.build(cfg)
    initial = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.load_or_resume()
    for key, value in runner.model.state_dict().items():
        is_classifier = re.match(r'heads\.id\.heads\.\w+\.classifier\.', key) is not None
        assert torch.equal(value, initial[key] if is_classifier else first[key]), key


def test_the_test_averages_flips_by_default(tmp_path):
    train(small_config('mgn/resnet50_market.py', tmp_path))
    test = small_config('mgn/resnet50_market.py', tmp_path / 'test')
    test.load_from = str(tmp_path / 'epoch_1.pth')
    drop_training(test)
    apply_tta(test, choose_tta(test, None))
    runner = RUNNERS.build(test)
    assert type(runner.model).__name__ == 'ReIDTTAModel' and len(runner.model.views) == 2
    assert 0 < runner.test()['market1501/mAP'] <= 100
