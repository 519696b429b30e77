"""A training small enough for a test: two convolutions with PTL on a few synthetic images."""

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mmreid.registry import MODELS, RUNNERS

WORKERS = 0
CONFIG = """
default_scope = 'mmreid'
runner_type = 'ReIDRunner'
custom_imports = dict(imports=['tests.test_engine.toy'], allow_failed_imports=False)
model = dict(
    type='EmbeddingNet',
    data_preprocessor=dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True),
    backbone=dict(type='ToyTaps'),
    neck=dict(type='PTLNeck', in_channels=(3, 8, 8), cell_channels=(4, 4), fusion_channels=(8, ), feat_channels=16,
              strides=(4, 2)),
    heads=dict(id=dict(type='ClassificationHead', in_key='feat', in_channels=16, hidden_channels=(16, ), dropout=0.3,
                       num_classes=None)))
pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(16, 32)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackReIDInputs'),
]
data = dict(type='SyntheticReID', domain='a', num_train_pids=6, num_test_pids=4, num_cams=2, num_images=2,
            num_distractors=4, num_junk=2, size=(32, 16))
train_dataloader = dict(
    batch_size=5, num_workers=WORKERS, drop_last=True, sampler=dict(type='ShuffleSampler'),
    dataset=dict(**data, split='train', pipeline=pipeline))
val_dataloader = dict(
    batch_size=8, num_workers=0, sampler=dict(type='EvalSampler'),
    dataset=dict(**data, split='test', pipeline=[pipeline[0], pipeline[1], pipeline[3]]))
test_dataloader = val_dataloader
val_evaluator = dict(type='ReIDMetric', protocols=['market1501'])
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
                   dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5)]
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook', interval=1),
                     latent_state=dict(type='LatentStateResetHook'),
                     invalid_loss=dict(type='InvalidLossHook'))
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
randomness = dict(seed=0)
log_level = 'WARNING'
"""


@MODELS.register_module()
class ToyTaps(nn.Module):
    """Image, stem (stride 4) and one stage (stride 8)."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.stage = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.Dropout(0.2))
        self.scale = scale

    def forward(self, image: torch.Tensor) -> tuple:
        stem = self.stem(image)
        return image, stem, self.stage(stem) * self.scale


def toy_config(work_dir: Path, **options: Any) -> Config:
    """The toy config, with ``options`` (dots as double underscores) applied."""
    cfg = Config.fromstring(CONFIG.replace('WORKERS', '0'), '.py')
    cfg.work_dir = str(work_dir)
    cfg.merge_from_dict({key.replace('__', '.'): copy.deepcopy(value) for key, value in options.items()})
    return cfg


def toy_runner(work_dir: Path, **options: Any):
    """A runner of the toy config."""
    return RUNNERS.build(toy_config(work_dir, **options))
