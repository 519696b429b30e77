"""Every config of the repository: it builds, each parameter that trains is reached, and names follow the convention."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmreid.engine.recipes import load_recipe
from mmreid.engine.recipes.checking import RecipeChecker
from mmreid.engine.recipes.stage_config import stage_configs
from mmreid.registry import DATASETS, MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.checkpoint import write_checkpoint
from mmreid.utils.config import KNOWN_KEYS, load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name not in ('_base_', 'recipes'))
NAMES = [str(path.relative_to(ROOT / 'configs')) for path in CONFIGS]
#: Not trainings themselves, but chains of those above.
RECIPES = sorted(f'recipes/{path.name}' for path in (ROOT / 'configs' / 'recipes').glob('*.py'))

#: Parameters that cannot receive a gradient: regular expressions on config and parameter name, and the reason.
EXCEPTIONS = [
    (r'embae/.*_embedding', r'neck\.embedding\.(code|norm)\.bias', 'shifts everything alike'),
    (r'pla/.*_triplet', r'backbone\.layer4\.(1\.bn2|2\.bn3)\.bias', 'shifts the maximum of every image alike'),
    (r'ptl/mgn_.*_released', r'neck\.(fusions\.\d|parts\.reduction)\.0\.bias', 'the batch norm behind it cancels it'),
]
#: Files of weights that somebody has to give: nobody has published them.
GIVEN_FILES = {'recipes/dtl_cuhk03market2viper_dgdnet_imagenet.py': 'checkpoints/dgdnet_imagenet.pth',
               **{f'recipes/{path.name}': 'checkpoints/mobilenet_v1_imagenet.pth'
                  for path in (ROOT / 'configs' / 'recipes').glob('embae_duke*.py')}}
#: Input (height, width) by config: the smallest whose maps MGN can cut into halves and thirds, and a small one.
SIZES = [(r'dtl/', (64, 64)), (r'(mgn/|ptl/mgn_)', (96, 32)), (r'', (64, 32))]
#: Images of each of four people by config: where only the anchor itself is a k-th positive, little is left to learn.
IMAGES = [(r'pla/.*_fixed', 8), (r'', 2)]


def first_of_each_model() -> list[str]:
    """Names of configs, the first of those that have the same network."""
    seen, first = set(), []
    for name in NAMES:
        size = next(size for config, size in SIZES if re.match(config, name))
        text = Config(dict(model=load_config(str(ROOT / 'configs' / name)).model)).pretty_text
        if (text, size, 'released' in name) not in seen:
            seen.add((text, size, 'released' in name))
            first.append(name)
    return first


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


def name_encoders(model):
    """One for each data set and camera of the batch."""
    for head in (model.heads or {}).values():
        if head.get('nuisance', 'shared') != 'shared':
            head.encoders = ['d0'] if head.nuisance == 'per_dataset' else ['d0_c0', 'd0_c1']


def give_teacher(cfg, folder):
    """A student needs a trained teacher: here one like itself, with other weights."""
    teacher = dict(cfg.model.to_dict(), type='EmbeddingNet', heads=None)
    for key in ('teacher', 'lambda_l1', 'reduction'):
        teacher.pop(key, None)
    write_checkpoint(MODELS.build(teacher).state_dict(), folder / 'teacher.pth')
    cfg.model.teacher = dict(checkpoint=str(folder / 'teacher.pth'), model=teacher)


@pytest.mark.parametrize('name', first_of_each_model())
def test_every_trained_parameter_gets_a_gradient(name, tmp_path):
    torch.manual_seed(0)
    cfg = load_config(str(ROOT / 'configs' / name))
    number_of_classes(cfg.model, 4)
    name_encoders(cfg.model)
    if cfg.model.type == 'DistillationNet':
        give_teacher(cfg, tmp_path)
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model).double().train()  # in float32 rounding noise would pass for a gradient
    size, images = (next(value for config, value in values if re.match(config, name)) for values in (SIZES, IMAGES))
    data = trained_batch(model, size, images=images)
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


@pytest.mark.parametrize('name', NAMES + RECIPES)
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
    helpers = {'dataset_type', 'data_root', 'domain', 'mean', 'train_on', 'train_pipeline', 'test_pipeline'}
    assert set(cfg) <= KNOWN_KEYS | helpers | {key for key in cfg if key.startswith('_')}


@pytest.mark.parametrize('name', NAMES)
def test_pipelines_build_and_datasets_are_known(name):
    cfg = load_config(str(ROOT / 'configs' / name))
    # Your own images without labels cannot be tested on.
    for loader in filter(None, (cfg.train_dataloader, cfg.test_dataloader)):
        assert loader.dataset.type in DATASETS
        with DefaultScope.overwrite_default_scope('mmreid'):
            pipeline = Compose(loader.dataset.pipeline)
        assert len(pipeline.transforms) == len(loader.dataset.pipeline)


@pytest.mark.parametrize('name', RECIPES)
def test_stages_of_a_recipe_fit_together(name):
    """References, configs, options, carried parts and features of teachers; the data need not be there."""
    recipe = load_recipe(ROOT / 'configs' / name)
    configs, problems = stage_configs(recipe)
    problems += RecipeChecker(recipe, configs, data=False).run()
    if name in GIVEN_FILES and not Path(GIVEN_FILES[name]).is_file():
        problem, problems = problems[0], problems[1:]
        assert f'{GIVEN_FILES[name]} does not exist' in problem
    assert not problems
    for stage in recipe:
        assert str(stage.config.relative_to(ROOT / 'configs')) in NAMES
        order = list(recipe.stages)
        assert all(order.index(source) < order.index(stage.name) for source in stage.references)
    used = {source for stage in recipe for source in stage.references}
    assert [name for name in recipe.stages if name not in used] == [list(recipe.stages)[-1]], 'a stage leads nowhere'
