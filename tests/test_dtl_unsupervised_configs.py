"""DTL without labels: which model, data and labeller, how long its rounds and their steps are."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmreid.engine.recipes import load_recipe
from mmreid.engine.recipes.checking import RecipeChecker
from mmreid.engine.recipes.splits import split_keys
from mmreid.engine.recipes.stage_config import stage_configs
from mmreid.registry import HOOKS
from mmreid.utils.config import load_config
from tests.test_datasets.test_pul_configs import leaves

CONFIGS = Path(__file__).parents[1] / 'configs'
METHODS = ('selftrain', 'cotrain', 'subspace')
SMALL = {'synthetic_a2b': 'SyntheticReID', 'cams123_2cams456': 'Market1501'}
#: Training images, and test protocol.
FULL = {'viper': (632, 'viper'), 'prid2011': (200, 'prid2011'), 'cuhk01': (970, 'cuhk01')}


def config(name: str) -> Config:
    return load_config(str(CONFIGS / f'{name}.py'))


def phases_of(cfg):
    hook, = (hook for hook in cfg.custom_hooks if hook.type == 'PhaseHook')
    return HOOKS.build(hook)


def check_method(cfg, method):
    rounds = cfg.default_hooks.pseudo_labels
    assert rounds.type == ('PseudoLabelHook' if method == 'selftrain' else 'CoTrainingHook')
    hook = HOOKS.build(rounds)
    assert type(hook.labeller).__name__ == ('CrossCameraNeighbours' if method == 'selftrain' else 'GraphDictionary')
    assert hook.restart == 'continue' and getattr(hook, 'fit_only', False) == (method == 'subspace')
    assert cfg.train_cfg.by_epoch and cfg.train_cfg.max_epochs % hook.epochs_per_round == 0
    assert cfg.train_cfg.val_interval == hook.epochs_per_round == phases_of(cfg).cycle
    assert cfg.default_hooks.initial_evaluation.type == 'InitialEvaluationHook' and cfg.find_unused_parameters
    heads = list(cfg.model.heads)
    first, second = phases_of(cfg).phases
    assert second.begin * 2 == hook.epochs_per_round
    assert first.off_among(heads) == [key for key in heads if not key.startswith('id')]
    assert first.trainable == ('heads.id*', ) and not second.off_among(heads) and second.trainable is None
    assert not second.frozen
    assert all(head.require_pairs is False for key, head in cfg.model.heads.items() if key.startswith('ver'))
    return hook


@pytest.mark.parametrize('method', [*METHODS, 'selftrain_pv', 'cotrain_pv'])
@pytest.mark.parametrize('data', SMALL)
def test_small_configs_compare_with_pul(data, method):
    """The same source, data and optimizer; 18 epochs over all images for PUL's 36 over about half of them."""
    cfg, pul = config(f'dtl/resnet18_{data}_{method}'), config(f'pul/resnet18_{data}')
    hook = check_method(cfg, method.removesuffix('_pv'))
    assert hook.epochs_per_round == pul.default_hooks.pseudo_labels.epochs_per_round == 6
    assert cfg.train_cfg == dict(pul.train_cfg, max_epochs=18) and pul.train_cfg.max_epochs == 36
    assert getattr(hook.labeller, 'num_atoms', 128) == 128
    assert cfg.train_dataloader.dataset.dataset.type == SMALL[data]
    for key in ('load_from', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_evaluator'):
        assert cfg[key] == pul[key], key
    assert cfg.train_dataloader.dataset == pul.train_dataloader.dataset
    assert cfg.train_dataloader.batch_size == pul.train_dataloader.batch_size == 32
    if method.endswith('_pv'):
        sampler = cfg.train_dataloader.sampler
        assert sampler.num_pids * sampler.num_instances == 32 and list(cfg.model.heads) == ['id', 'ver']
        assert cfg.model.heads.ver.loss_weight == 3 and cfg.model.heads.id == pul.model.heads.id
    else:
        assert cfg.train_dataloader == pul.train_dataloader and cfg.model == pul.model


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('data', FULL)
def test_full_size(data, method):
    """Six losses, 20,000 iterations a step in whole epochs, three rounds; the data of the rows with labels."""
    name = f'googlenet_cuhk03market2{data}_{method}'
    cfg, labelled = config(f'dtl/{name}'), config(f'dtl/googlenet_{data}')
    hook = check_method(cfg, method)
    images, protocol = FULL[data]
    atoms = getattr(hook.labeller, 'num_atoms', None)
    assert method == 'selftrain' or 64 <= atoms <= images  # more cannot be fitted
    batches = images // cfg.train_dataloader.batch_size
    step = hook.epochs_per_round // 2 * batches
    assert abs(step - 20000) <= batches and cfg.train_cfg.max_epochs == 3 * hook.epochs_per_round
    assert hook.epochs_per_round % cfg.default_hooks.checkpoint.interval == 0
    assert cfg.train_dataloader.sampler == labelled.train_dataloader.sampler
    inner = cfg.train_dataloader.dataset
    assert inner.type == 'PseudoLabelDataset' and not inner.get('keep_labels')
    assert dict(inner.dataset, pipeline=inner.pipeline) == {
        key: value for key, value in labelled.train_dataloader.dataset.items() if key != 'split'}
    for key in ('val_dataloader', 'val_evaluator', 'test_evaluator', 'optim_wrapper'):
        assert cfg[key] == labelled[key], key
    assert cfg.val_evaluator.protocols == [protocol] and cfg.val_evaluator.metric == 'euclidean'
    assert list(cfg.model.heads) == list(labelled.model.heads)
    words = (CONFIGS / 'dtl' / f'{name}.py').read_text(encoding='utf-8').split('"""')[1]
    assert 'needs load_from=FILE' in words
    assert 'train_dataloader.dataset.dataset.split_id' in split_keys(cfg)  # each split has its unlabelled images


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('data', FULL)
def test_recipes(data, method):
    recipe = load_recipe(CONFIGS / f'recipes/dtl_cuhk03market2{data}_{method}.py')
    first, second = recipe
    assert first.config.stem == 'googlenet_cuhk03market' and second.init_from == first.name == 'large'
    assert second.config.stem == f'googlenet_cuhk03market2{data}_{method}'


@pytest.mark.parametrize('data, method', [('viper', 'selftrain'), ('prid2011', 'cotrain'), ('cuhk01', 'subspace')])
def test_recipes_pass_the_check_with_images(data, method):
    """Before the first round nobody has a class, so the PK sampler of a stage has nothing to draw yet."""
    recipe = load_recipe(CONFIGS / f'recipes/dtl_cuhk03market2{data}_{method}.py')
    configs, problems = stage_configs(recipe)
    for cfg in configs.values():
        for name in ('train', 'val', 'test'):
            for number, leaf in enumerate(leaves(cfg[f'{name}_dataloader'].dataset)):
                kept = {key: leaf[key] for key in ('pipeline', 'split') if key in leaf}
                leaf.clear()
                leaf.update(kept, type='SyntheticReID', num_train_pids=36, num_test_pids=3, num_cams=2, num_images=2,
                            seed=number)
    checker = RecipeChecker(recipe, configs)
    assert not problems + checker.run()
    assert checker.data_lines[list(recipe.stages)[1]].startswith(
        'PseudoLabelDataset: 144 of 144 images without label, 0 classes')
