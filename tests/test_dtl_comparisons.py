"""The autoencoder and the adversarial comparison of DTL: networks, data, budgets and chains of their configs."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmreid.engine.recipes import load_recipe
from mmreid.engine.recipes.checking import RecipeChecker
from mmreid.engine.recipes.splits import dependent_stages, over_splits
from mmreid.engine.recipes.stage_config import stage_configs
from mmreid.registry import HOOKS, MODELS
from mmreid.utils.config import load_config

CONFIGS = Path(__file__).parents[1] / 'configs'
SMALL = ('synthetic_a2b', 'cams123_2cams456')
TARGETS = ('viper', 'prid2011', 'cuhk01')
AUTOENCODERS = [*(f'resnet18_{name}_autoencoder' for name in ('synthetic', 'cams123', *SMALL)),
                'googlenet_cuhk03market_autoencoder',
                *(f'googlenet_cuhk03market2{name}_autoencoder' for name in TARGETS)]
ADVERSARIAL = [*(f'resnet18_{name}_adversarial' for name in SMALL),
               *(f'googlenet_cuhk03market2{name}_adversarial' for name in TARGETS)]


def config(name: str, folder: str = 'dtl') -> Config:
    return load_config(str(CONFIGS / folder / f'{name}.py'))


@pytest.mark.parametrize('name', AUTOENCODERS)
def test_autoencoder_is_half_as_wide_and_alone_in_training(name):
    cfg = config(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    encoder, decoder = model.neck.encoder[0], model.heads['ae'].decoder
    width = 1024 if name.startswith('googlenet') else 512
    assert (encoder.in_features, encoder.out_features) == (decoder.out_features, decoder.in_features) == (
        width, width // 2)
    phase, = HOOKS.build(cfg.custom_hooks[0]).phases
    modules, parameters = phase.frozen_in(model)
    trained = {key for key, value in model.named_parameters() if not any(value is p for p in parameters)}
    assert trained == {'neck.encoder.0.weight', 'neck.encoder.0.bias', 'heads.ae.decoder.weight',
                       'heads.ae.decoder.bias'}
    inside = {id(part) for module in modules for part in module.modules()}
    norms = [part for part in model.modules() if hasattr(part, 'running_mean')]
    assert norms and all(id(part) in inside for part in norms)
    assert cfg.train_dataloader.sampler.type == 'ShuffleSampler', 'a PK sampler would read labels'


@pytest.mark.parametrize('name', ADVERSARIAL)
def test_adversarial_networks_and_batches(name):
    cfg = config(name)
    base = config('googlenet_viper') if name.startswith('googlenet') else config('ide_resnet18_synthetic', 'baseline')
    assert [head for head in cfg.model.heads if head != 'domain'] == list(base.model.heads)
    head = cfg.model.heads.domain
    assert head.type == 'DomainHead' and head.get('num_domains', 2) == 2
    assert cfg.train_dataloader.dataset.type == 'SourceTargetDataset'
    sampler, size = cfg.train_dataloader.sampler, cfg.train_dataloader.batch_size
    if name.startswith('googlenet'):
        assert sampler.num_pids * sampler.num_instances == sampler.num_unlabelled == size // 2
    else:
        assert sampler == dict(type='DomainBalancedSampler') and size == 64
    hook, = cfg.custom_hooks
    assert HOOKS.build(hook).coefficient_at(0) == 0 and HOOKS.build(hook).coefficient_at(1) > 0.99


@pytest.mark.parametrize('name, images', [('synthetic_a2b', 1800), ('cams123_2cams456', 3488)])
def test_same_data_source_and_budget_as_the_rounds(name, images):
    """Epochs over the target, its images, the checkpoint of the source and the test."""
    pul, ae, adversarial = config(f'resnet18_{name}', 'pul'), *(
        config(f'resnet18_{name}_{kind}') for kind in ('autoencoder', 'adversarial'))
    assert ae.train_dataloader.dataset == pul.train_dataloader.dataset
    target = dict(split='train', **{k: v for k, v in pul.train_dataloader.dataset.dataset.items() if k != 'split'})
    assert dict(split='train', **{k: v for k, v in adversarial.train_dataloader.dataset.target.items()
                                  if k != 'split'}) == target
    rounds = {config(f'resnet18_{name}_{kind}').train_cfg.max_epochs for kind in ('selftrain', 'cotrain')}
    assert rounds == {ae.train_cfg.max_epochs} == {18}
    assert adversarial.train_cfg.max_iters == 18 * (images // 32)
    source = config(f'resnet18_{name.split("_")[0]}_autoencoder')
    assert adversarial.load_from == source.load_from == pul.load_from and tuple(source.load_parts) == ('backbone', )
    assert ae.load_from == (f'work_dirs/dtl/resnet18_{name.split("_")[0]}_autoencoder/'
                            f'epoch_{source.train_cfg.max_epochs}.pth')
    assert source.train_dataloader.dataset == config(
        Path(pul.load_from).parent.name, 'baseline').train_dataloader.dataset
    for cfg in (ae, adversarial):
        assert cfg.val_dataloader == pul.val_dataloader and cfg.val_evaluator == pul.val_evaluator
    assert adversarial.optim_wrapper == pul.optim_wrapper


def test_budget_is_told_by_the_images():
    """PUL trains twice as many epochs, on about half of the images."""
    for name in SMALL:
        assert config(f'resnet18_{name}', 'pul').train_cfg.max_epochs == 2 * 18
        assert config(f'resnet18_{name}_cotrain').default_hooks.pseudo_labels.epochs_per_round * 3 == 18


@pytest.mark.parametrize('target', TARGETS)
def test_every_split_has_its_own_target_and_one_source(target):
    """Images of people who are tested in another split are no images of the target; those of the source stay."""
    kind = {'viper': 'VIPeR', 'prid2011': 'PRID2011', 'cuhk01': 'CUHK01'}[target]
    recipe = load_recipe(CONFIGS / 'recipes' / f'dtl_cuhk03market2{target}_adversarial.py')
    configs, problems = stage_configs(recipe)
    assert not problems and dependent_stages(recipe, configs) == [target]
    expanded, copies = over_splits(recipe, configs, [0, 7])
    for split, name in copies[target].items():
        cfg = stage_configs(expanded)[0][name]
        data = cfg.train_dataloader.dataset
        found = {place: node.split_id for place, node in (('target', data.target), ('val', cfg.val_dataloader.dataset),
                                                          ('test', cfg.test_dataloader.dataset))}
        assert found == dict.fromkeys(found, split)
        assert data.target.type == cfg.test_dataloader.dataset.type == kind
        assert data.source.datasets[0].split_id == 0


@pytest.mark.parametrize('target', TARGETS)
def test_chains_at_full_size(target):
    recipe = load_recipe(CONFIGS / 'recipes' / f'dtl_cuhk03market2{target}_autoencoder.py')
    assert [stage.carry for stage in recipe][1:] == [('backbone', ), ('backbone', 'neck', 'heads.ae')]
    recipe = load_recipe(CONFIGS / 'recipes' / f'dtl_cuhk03market2{target}_adversarial.py')
    assert [stage.carry for stage in recipe][1:] == [None]
    source = config('googlenet_cuhk03market').train_dataloader.dataset
    adversarial, tested = config(f'googlenet_cuhk03market2{target}_adversarial'), config(f'googlenet_{target}')
    assert adversarial.train_dataloader.dataset.source.datasets == source.datasets
    target_data = dict(tested.train_dataloader.dataset)
    assert adversarial.train_dataloader.dataset.target == {
        key: value for key, value in target_data.items() if key not in ('split', 'pipeline')}
    for cfg in (adversarial, config(f'googlenet_cuhk03market2{target}_autoencoder')):
        assert cfg.test_dataloader == tested.test_dataloader and cfg.test_evaluator == tested.test_evaluator
        assert cfg.train_cfg.max_iters == 20000


@pytest.mark.parametrize('name', SMALL)
def test_small_chains(name):
    """The recipes do what the configs do one after another by their ``load_from``."""
    recipe = load_recipe(CONFIGS / 'recipes' / f'dtl_{name}_autoencoder.py')
    configs, problems = stage_configs(recipe)
    source, stages = name.split('_')[0], list(recipe)
    assert [stage.config.stem for stage in stages[-3:]] == [
        f'ide_resnet18_{source}', f'resnet18_{source}_autoencoder', f'resnet18_{name}_autoencoder']
    assert [stage.init_from for stage in stages[-2:]] == ['source', 'autoencoder']
    assert [stage.carry for stage in stages[-2:]] == [('backbone', ), ('backbone', 'neck', 'heads.ae')]
    for stage in stages:  # each starts from the stage that writes what its config loads by itself
        file = load_config(str(stage.config)).get('load_from')
        before = file and recipe.stages[stage.init_from].config
        assert (stage.init_from is None) if file is None else before.stem == Path(file).parent.name, stage.name
    assert not problems + RecipeChecker(recipe, configs, data=False).run()
    assert all(cfg.load_from is None for cfg in configs.values())
