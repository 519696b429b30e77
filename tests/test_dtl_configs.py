"""DTL: losses and their weights, steps and schedules as the paper has them, and the numbers of its tables."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

from mmreid.engine.recipes import load_recipe
from mmreid.registry import HOOKS, METRICS, MODELS
from mmreid.utils.config import load_config
from tests.test_configs import number_of_classes, trained_batch

CONFIGS = Path(__file__).parents[1] / 'configs'
#: Those without labels are in tests/test_dtl_unsupervised_configs.py and tests/test_dtl_comparisons.py.
UNSUPERVISED = re.compile('selftrain|cotrain|subspace|autoencoder|adversarial')
NAMES = sorted(path.stem for path in (CONFIGS / 'dtl').glob('*.py') if not UNSUPERVISED.search(path.stem))
SUFFIXES = ('', '_aux1', '_aux2')
HEADS = {'SID': 'id', 'PV': 'ver', 'TL': 'tri'}
#: rank-1 (and mAP) of Tables 1 to 9, as printed there; of one query, and of several.
SINGLE = {
    'dtl/googlenet_market': (83.7, 65.5), 'dtl/googlenet_market_sid': (76.6, 51.7),
    'dtl/googlenet_market_pv': (74.6, 55.0), 'dtl/googlenet_market_tl': (63.3, 41.5),
    'dtl/googlenet_market_sid_tl': (80.4, 59.3), 'dtl/googlenet_market_pv_tl': (71.0, 52.4),
    'dtl/googlenet_market_sid_pv_tl': (83.1, 65.1), 'dtl/googlenet_market_random': (80.8, None),
    'dtl/googlenet_market_sid_tl_random': (79.3, None), 'dtl/googlenet_market_scratch': (68.7, 45.3),
    'dtl/googlenet_market_sid_scratch': (55.0, 31.4), 'dtl/dgdnet_market': (82.7, 63.4),
    'dtl/dgdnet_market_sid': (47.8, 23.8), 'dtl/dgdnet_market_imagenet': (71.3, 48.9),
    'dtl/dgdnet_market_sid_imagenet': (47.5, 23.1), 'dtl/googlenet_cuhk03_labeled': (85.4, None),
    'dtl/googlenet_cuhk03_detected': (84.1, None), 'recipes/dtl_cuhk03market2viper': (56.3, None),
    'recipes/dtl_cuhk03market2viper_one_step': (47.6, None), 'recipes/dtl_cuhk03market2viper_random': (53.1, None),
    'recipes/dtl_cuhk03market2viper_sid_tl': (52.3, None),
    'recipes/dtl_cuhk03market2viper_sid_tl_random': (51.9, None),
    'recipes/dtl_cuhk03market2viper_scratch': (37.0, None), 'recipes/dtl_cuhk03market2viper_dgdnet': (51.5, None),
    'recipes/dtl_cuhk03market2viper_dgdnet_imagenet': (37.4, None),
    'recipes/dtl_cuhk03market2prid2011': (43.6, None), 'recipes/dtl_cuhk03market2cuhk01': (77.0, None),
    'recipes/dtl_cuhk03market2cuhk01_871': (93.2, None), 'recipes/dtl_cuhk03market2viper_selftrain': (42.8, None),
    'recipes/dtl_cuhk03market2viper_subspace': (42.3, None), 'recipes/dtl_cuhk03market2viper_cotrain': (45.1, None),
    'recipes/dtl_cuhk03market2viper_autoencoder': (36.4, None),
    'recipes/dtl_cuhk03market2viper_adversarial': (22.8, None),
    'recipes/dtl_cuhk03market2prid2011_cotrain': (36.2, None), 'recipes/dtl_cuhk03market2cuhk01_cotrain': (68.8, None)}
MULTI = {
    'dtl/googlenet_market': (89.6, 73.8), 'dtl/googlenet_market_sid': (83.6, 62.2),
    'dtl/googlenet_market_pv': (81.5, 63.1), 'dtl/googlenet_market_tl': (72.4, 49.7),
    'dtl/googlenet_market_sid_tl': (86.1, 67.8), 'dtl/googlenet_market_pv_tl': (79.0, 60.7),
    'dtl/googlenet_market_sid_pv_tl': (88.7, 73.0)}
#: Tables 6 and 9, rank 5, 10 and 20.
RANKS = {'recipes/dtl_cuhk03market2viper': (83.3, 90.5, 96.0),
         'recipes/dtl_cuhk03market2viper_one_step': (77.2, 86.8, 93.1),
         'recipes/dtl_cuhk03market2viper_selftrain': (66.9, 77.3, 85.9),
         'recipes/dtl_cuhk03market2viper_subspace': (71.5, 79.8, 87.5),
         'recipes/dtl_cuhk03market2viper_cotrain': (73.1, 81.7, 89.4),
         'recipes/dtl_cuhk03market2viper_autoencoder': (62.3, 74.0, 81.9),
         'recipes/dtl_cuhk03market2viper_adversarial': (38.6, 50.3, 63.9)}


def config(name: str) -> Config:
    return load_config(str(CONFIGS / 'dtl' / f'{name}.py'))


def losses_of(name: str) -> list[str]:
    """What a name says: SID+PV unless it names losses."""
    named = re.search(r'_((?:sid|pv|tl)(?:_(?:sid|pv|tl))*)(?=_|$)', name)
    return ['SID', 'PV'] if named is None else named.group(1).upper().split('_')


def phases(cfg: Config) -> list:
    return [phase for hook in cfg.get('custom_hooks') or [] for phase in hook.phases]


# ---- networks and losses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_heads_are_those_of_the_losses(name):
    heads = config(name).model.heads
    suffixes = SUFFIXES[:1] if name.startswith('dgdnet') else SUFFIXES
    assert list(heads) == [HEADS[loss] + suffix for loss in losses_of(name) for suffix in suffixes]
    for key, head in heads.items():
        family, _, place = key.partition('_')
        assert head.in_key == (place or 'feat')
        # GoogLeNet's, and that of DGDNet's authors.
        assert head.dropout == (0.5 if name.startswith('dgdnet') else 0.7 if place else 0.4)
        weight = head.loss.loss_weight if isinstance(head.loss if 'loss' in head else None, dict) else head.loss_weight
        assert weight == pytest.approx(dict(id=1, ver=3, tri=1)[family] * (0.3 if place else 1))
        if family != 'id':
            assert head.get('dropout_mode', 'consistent') == ('random' if name.endswith('_random') else 'consistent')
        if family == 'ver':
            assert head.get('loss', 'cross_entropy') == ('contrastive' if 'contrastive' in name else 'cross_entropy')
    assert config(name).model.get('feature_key', 'feat') == 'feat'


@pytest.mark.parametrize('name', NAMES)
def test_distance_of_the_test(name):
    """Euclidean (section 3.2); with the contrastive loss that of what it trains, embeddings of unit length."""
    cfg = config(name)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert METRICS.build(evaluator).metric == ('cosine' if 'contrastive' in name else 'euclidean')


def test_the_six_losses_of_the_paper_from_a_batch():
    """GoogLeNet on 4 people x 2 images: six losses, 3 : 1, 0.3 on the branches, 48 ordered negative pairs."""
    torch.manual_seed(0)
    cfg = config('googlenet_market')
    number_of_classes(cfg.model, 4)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).train()
    losses = model(**trained_batch(model, (64, 64)), mode='loss')
    assert sorted(key for key in losses if 'loss' in key) == sorted(
        f'{head}{suffix}.loss_{kind}' for head, kind in (('id', 'ce'), ('ver', 'ver')) for suffix in SUFFIXES)
    for suffix, factor in zip(SUFFIXES, (1, 0.3, 0.3), strict=True):
        assert losses[f'ver{suffix}.num_pairs'] == 2 * 48
        # What is not trained yet tells four people, and same from different, about as well as chance.
        assert losses[f'id{suffix}.loss_ce'].item() == pytest.approx(factor * 1.386, rel=0.5)
        assert losses[f'ver{suffix}.loss_ver'].item() == pytest.approx(3 * factor * 0.693, rel=0.5)
    model.eval()
    assert model(torch.rand(2, 3, 64, 64), mode='tensor')['feat'].shape == (2, 1024)


# ---- steps and schedules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_steps(name):
    cfg = config(name)
    found, heads = phases(cfg), list(cfg.model.heads)
    source = 'scratch' in name or cfg.model.backbone.get('init_cfg') is None and not re.search(
        r'viper|100ids|synthetic_b', name)
    if source or 'SID' not in losses_of(name) or 'one_step' in name:
        assert not found  # nothing learnt to protect, no classifier, or on purpose
        return
    _, second = found
    assert cfg.custom_hooks[0].by_epoch is False and second == dict(name='everything', begin=second.begin)
    assert second.begin < cfg.train_cfg.max_iters and cfg.find_unused_parameters
    first, everything = HOOKS.build(cfg.custom_hooks[0]).phases
    assert first.off_among(heads) == [key for key in heads if not key.startswith('id')] and first.begin == 0
    assert everything.off_among(heads) == []


@pytest.mark.parametrize('name', ['googlenet_market_sid_pv_tl', 'googlenet_viper_sid_tl', 'dgdnet_viper',
                                  'resnet18_synthetic_b'])
def test_what_the_first_step_freezes(name):
    """Whatever is no classifier, with all statistics of batch norm; in the second nothing."""
    cfg = config(name)
    number_of_classes(cfg.model, 4)
    cfg.model.backbone.pop('init_cfg', None)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    first, second = HOOKS.build(cfg.custom_hooks[0]).phases
    modules, parameters = first.frozen_in(model)
    frozen = {id(parameter) for parameter in parameters}
    assert {key for key, parameter in model.named_parameters() if id(parameter) not in frozen} == {
        f'heads.{head}.classifier.{kind}' for head in cfg.model.heads if head.startswith('id')
        for kind in ('weight', 'bias')}
    inside = {id(part) for module in modules for part in module.modules()}
    norms = [part for part in model.modules() if hasattr(part, 'running_mean')]
    assert norms and all(id(part) in inside for part in norms)
    assert second.frozen_in(model) == ([], [])


@pytest.mark.parametrize('name', NAMES)
def test_stages_say_what_they_need(name):
    words = (CONFIGS / 'dtl' / f'{name}.py').read_text(encoding='utf-8').split('"""')[1]
    assert ('needs load_from=FILE' in words) == bool(re.search('viper|prid|cuhk01|100ids|synthetic_b', name))


@pytest.mark.parametrize('name', [name for name in NAMES if not name.startswith('resnet18')])
def test_schedule_of_the_paper(name):
    """0.001, x0.1 every 40,000 iterations of a step; 20,000 + 150,000 to a large data set, twice 20,000 to a small."""
    cfg = config(name)
    small = re.search('viper|prid|cuhk01', name)
    begin = phases(cfg)[1].begin if phases(cfg) else 20000 if small else 0
    assert begin in (0, 20000)
    assert cfg.train_cfg.max_iters == begin + (20000 if small else 150000) and not cfg.train_cfg.by_epoch
    optimizer, schedule = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    assert (optimizer.type, optimizer.lr) == ('SGD', 0.001)
    assert (schedule.type, schedule.by_epoch, schedule.gamma) == ('MultiStepLR', False, 0.1)
    last = cfg.train_cfg.max_iters
    assert [step for step in schedule.milestones if step < last] == list(range(begin + 40000, last, 40000))
    assert not cfg.default_hooks.checkpoint.by_epoch
    assert cfg.train_cfg.max_iters % cfg.default_hooks.checkpoint.interval == 0


@pytest.mark.parametrize('path', sorted(path for path in (CONFIGS / 'recipes').glob('dtl_*.py') if not re.search(
    'autoencoder|adversarial', path.stem)), ids=lambda path: path.stem)
def test_recipes_carry_the_verification_subnet(path):
    recipe = load_recipe(path)
    for stage in recipe:
        if stage.init_from is not None:
            heads = load_config(str(stage.config)).model.heads
            if stage.init_from == 'drawn':  # in place of ImageNet, from which there are no heads either
                assert stage.carry == ('backbone', )
                continue
            assert stage.carry == ('backbone', 'neck', *(f'heads.{key}' for key in heads if key.startswith('ver')))
            assert load_config(str(recipe.stages[stage.init_from].config)).model.heads.keys() == heads.keys()


# ---- numbers --------------------------------------------------------------------------------------------------------


def published() -> dict:
    """``{config: [(data set, metrics)]}`` of the metafiles."""
    found = {}
    for folder in ('dtl', 'recipes'):
        for model in yaml.safe_load((CONFIGS / folder / 'metafile.yml').read_text(encoding='utf-8'))['Models']:
            name = model['Config'].removeprefix('configs/').removesuffix('.py')
            found[name] = [(result['Dataset'], result['Metrics']) for result in model['Results']
                           if result['Source'].startswith('DTL') and result['Published'] is True]
    return found


def test_metafiles_hold_the_tables():
    for multi, expected in ((False, SINGLE), (True, MULTI)):
        of_kind = {name: [(metrics['rank-1'], metrics.get('mAP')) for data, metrics in results
                          if data.endswith('multi-query') == multi] for name, results in published().items()}
        assert {name: scores for name, scores in of_kind.items() if scores} == {
            name: [scores] for name, scores in expected.items()}
    ranks = {name: tuple(metrics[f'rank-{rank}'] for rank in (5, 10, 20)) for name, results in published().items()
             for _, metrics in results if 'rank-5' in metrics}
    assert ranks == RANKS


@pytest.mark.parametrize('name', sorted(SINGLE))
def test_readme_holds_the_tables(name):
    readme = (CONFIGS / 'dtl' / 'README.md').read_text(encoding='utf-8')
    row, = (line for line in readme.splitlines() if line.startswith(f'| `{name.split("/")[1]}.py` |')
            and re.search(r'\d\d\.\d', line))
    numbers = [float(number) for number in re.findall(r'\b\d\d\.\d\b', row.split('(')[0])]
    ranks = RANKS.get(name, ()) if UNSUPERVISED.search(name) else ()
    assert numbers == [score for score in SINGLE[name] + MULTI.get(name, ()) + ranks if score is not None]
