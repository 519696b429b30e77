"""Every config of the repository: it builds, each parameter that trains is reached, and names follow the convention."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmreid.registry import DATASETS, MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.config import KNOWN_KEYS, load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name != '_base_')
NAMES = [str(path.relative_to(ROOT / 'configs')) for path in CONFIGS]

#: Parameters that cannot receive a gradient: regular expressions on config and parameter name, and the reason.
EXCEPTIONS = []


def trained_batch(model: torch.nn.Module, size: tuple, ids: int = 4, images: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for _ in range(ids * images)]
    samples = [ReIDDataSample(metainfo=dict(pid=i // images, camid=i % 2, domain=0)).set_gt_label(i // images)
               for i in range(ids * images)]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training=True)


def number_of_classes(node, value):
    """Set every open ``num_classes``."""
    if isinstance(node, dict):
        for key, item in node.items():
            if key == 'num_classes' and item is None:
                node[key] = value
            number_of_classes(item, value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            number_of_classes(item, value)


@pytest.mark.parametrize('name', NAMES)
def test_every_trained_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    cfg = load_config(str(ROOT / 'configs' / name))
    number_of_classes(cfg.model, 4)
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model).double().train()  # in float32 rounding noise would pass for a gradient
    data = trained_batch(model, (64, 32))
    data['inputs'] = data['inputs'].double()
    for _ in range(2):  # the forget gates of BConv-cells act from the second batch on
        losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    excused = [pattern for config, pattern, _ in EXCEPTIONS if re.match(config, name)]
    without = [key for key, parameter in model.named_parameters() if parameter.requires_grad
               and (parameter.grad is None or float(parameter.grad.abs().max()) < 1e-9)
               and not any(re.search(pattern, key) for pattern in excused)]
    assert not without
    assert total.isfinite()


@pytest.mark.parametrize('name', NAMES)
def test_config_is_short_and_well_named(name):
    method, file = name.split('/')
    text = (ROOT / 'configs' / name).read_text()
    assert len(text.splitlines()) <= 60
    assert re.fullmatch(r'[a-z0-9]+(_[a-z0-9]+)+\.py', file), 'expected <backbone>_<dataset>[_<variant>].py'
    assert text.startswith('"""'), 'a config says in its first line what it is'
    assert (ROOT / 'configs' / method / 'README.md').is_file()
    assert (ROOT / 'configs' / method / 'metafile.yml').is_file()


@pytest.mark.parametrize('name', NAMES)
def test_config_keys_are_read_by_somebody(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    helpers = {'dataset_type', 'data_root', 'domain', 'train_pipeline', 'test_pipeline'}
    assert set(cfg) <= KNOWN_KEYS | helpers | {key for key in cfg if key.startswith('_')}


@pytest.mark.parametrize('name', NAMES)
def test_pipelines_build_and_datasets_are_known(name):
    cfg = load_config(str(ROOT / 'configs' / name))
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        assert loader.dataset.type in DATASETS
        with DefaultScope.overwrite_default_scope('mmreid'):
            pipeline = Compose(loader.dataset.pipeline)
        assert len(pipeline.transforms) == len(loader.dataset.pipeline)
