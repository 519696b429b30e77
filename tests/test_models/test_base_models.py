"""Every model of configs/_base_/models builds, has the stated size and learns with every parameter."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import mmreid.models  # noqa: F401 (registers the components)
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
CONFIGS = sorted(path.stem for path in FOLDER.glob('*.py'))
#: Millions of parameters with 751 identities; PTL (Table 1) states 28, 35, 32 and 42, and 66 for MGN.
SIZES = dict(resnet50_baseline=28.5, resnet50_ptl=34.8, densenet161_baseline=31.6, densenet161_ptl=42.4,
             mgn_resnet50=66.7, mgn_resnet50_ptl=80.9)
EMBEDDING_BIASES = ['neck.embedding.norm.bias', 'neck.embedding.code.bias']


def build(name, num_classes):
    model = Config.fromfile(FOLDER / f'{name}.py').model
    model.backbone.init_cfg = None
    if model.type == 'DistillationNet':
        model.lambda_l1 = 0  # the student alone; with its teacher: test_distillation_net.py
    for head in model.heads.values():
        head = head.get('head', head)  # of a group
        if 'num_classes' in head:
            assert head.num_classes is None
            head.num_classes = num_classes
    return MODELS.build(model)


@pytest.mark.parametrize('name', CONFIGS)
def test_every_parameter_learns(name):
    """In float64, so that a gradient that vanishes cannot hide behind rounding."""
    torch.manual_seed(0)
    model = build(name, 3).double()
    samples = [ReIDDataSample(metainfo=dict(domain=label % 2)).set_gt_label(label) for label in (0, 0, 1, 1, 2)]
    for _ in range(2):  # forget gates matter from the second batch on
        model.zero_grad()
        # Thirds of a map of stride 16; auxiliary branches pool one to 4x4.
        size = (96, 32) if 'mgn' in name else (64, 64) if 'dtl' in name else (64, 32)
        losses = model(torch.randn(5, 3, *size, dtype=torch.float64), samples, mode='loss')
        model.parse_losses(losses)[0].backward()
    idle = [key for key, p in model.named_parameters() if p.requires_grad and not p.grad.abs().max() > 1e-9]
    # Distances between embeddings do not know what all of them have in common.
    assert idle == (EMBEDDING_BIASES if name in ('embae_mobilenet', 'embae_mobilenet_small') else [])
    frozen = [key for key, p in model.named_parameters() if not p.requires_grad]
    assert frozen == (['neck.norm.bias'] if 'bnneck' in name else [])


@pytest.mark.parametrize('name', sorted(SIZES))
def test_number_of_parameters(name):
    with torch.device('meta'):
        model = build(name, 751)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(SIZES[name], abs=0.06)
