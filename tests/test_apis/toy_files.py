"""Drawn pedestrians in a folder, a config that reads them, and a checkpoint."""

from pathlib import Path
from typing import Any

import torch

from mmreid.datasets import SyntheticReID
from mmreid.registry import MODELS
from tests.test_engine.toy import CONFIG, toy_config

_DRAWN = CONFIG[CONFIG.index("data = dict(type='SyntheticReID'"):CONFIG.index('train_dataloader = ')]


def write_images(folder: Path) -> Path:
    """8 queries and 14 gallery images, laid out as Market-1501."""
    SyntheticReID.export(str(folder), num_train_pids=3, num_test_pids=4, num_cams=2, num_images=2, num_distractors=4,
                         num_junk=2, size=(40, 20))
    return folder


def write_config(path: Path, images: Path, extra: str = '') -> Path:
    """The toy config on these images."""
    data = f"data = dict(type='Market1501', data_root={str(images)!r}, check_counts=False)\n"
    path.write_text(CONFIG.replace('WORKERS', '0').replace(_DRAWN, data) + extra)
    return path


def write_checkpoint(path: Path, num_classes: int = 5, **model: Any) -> Path:
    """Random weights, also of a classifier of that many identities, and statistics that are not those of a new net."""
    cfg = toy_config(path.parent).model
    cfg.heads.id.num_classes = num_classes
    cfg.update(model)
    torch.manual_seed(0)
    net = MODELS.build(cfg)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -.3, .3)
            torch.nn.init.uniform_(module.running_var, .5, 2)
    torch.save(dict(state_dict=net.state_dict()), path)
    return path
