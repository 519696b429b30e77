"""Recipes as text: what they say, in which order it runs, and what is refused before anything runs."""

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmreid.engine.recipes import RecipeError, RecipeRun, load_recipe
from mmreid.engine.recipes.definition import changes, weighty_changes
from mmreid.engine.recipes.graph import running_order
from mmreid.engine.recipes.networks import inspect_network, misfits
from mmreid.engine.recipes.recipe import CARRIED
from mmreid.engine.recipes.report import results_table
from mmreid.engine.recipes.stage_config import split_options
from mmreid.engine.recipes.state import RecipeState
from mmreid.utils.checkpoint import write_checkpoint
from tests.test_engine.recipe_files import STAGES, write_recipe
from tests.test_engine.test_pseudo_labels import options as pseudo_options
from tests.test_engine.toy import toy_config

ROOT = Path(__file__).parents[2]
#: Shapes of the toy network's parts, read off its config.
STEM = (8, 3, 3, 3)


def refusal(path, **options) -> str:
    """The message with which a recipe is refused; nothing may have been written."""
    before = sorted(path.parent.rglob('*'))
    with pytest.raises(RecipeError) as caught:
        RecipeRun(path, work_dir=path.parent / 'work', **options)
    written = [file for file in sorted(path.parent.rglob('*')) if file not in before and '__pycache__' not in str(file)]
    assert not written
    return str(caught.value)


# ---- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(40))
def test_order_is_the_first_valid_one_of_all_permutations(seed):
    draw = random.Random(seed)
    names = 'abcde'[:draw.randint(1, 5)]
    needs = {name: [other for other in names if other != name and draw.random() < 0.25] for name in names}
    valid = [list(order) for order in itertools.permutations(names)
             if all(order.index(need) < order.index(name) for name in names for need in needs[name])]
    order, circle = running_order(needs)
    if valid:  # permutations come in the order of the names: the first keeps to it wherever it can
        assert (order, circle) == (valid[0], [])
    else:
        assert circle[0] == circle[-1] and len(set(circle)) == len(circle) - 1
        assert all(need in needs[name] for name, need in zip(circle, circle[1:]))


def test_reading_a_recipe(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path))
    assert list(recipe.stages) == ['first', 'second', 'student'] and recipe.name == 'toy_recipe'
    student = recipe.stages['student']
    assert student.config == tmp_path.resolve() / 'toy_std.py'
    assert (student.init_from, student.teacher_from, student.checkpoint) == ('first', 'second', 'last')
    assert student.carry == CARRIED == ('backbone', 'neck') and dict(student.overrides) == {}


def test_inheriting_from_a_recipe_in_another_folder(tmp_path):
    write_recipe(tmp_path / 'given')
    (tmp_path / 'own').mkdir()
    own = tmp_path / 'own' / 'mine.py'
    own.write_text("_base_ = '../given/toy_recipe.py'\n_half = {'model.lambda_l1': 0.5}\n"
                   "stages = dict(student=dict(checkpoint='best', carry=None, overrides=_half))\n")
    recipe = load_recipe(own)
    assert list(recipe.stages) == ['first', 'second', 'student']
    student = recipe.stages['student']
    assert student.config == (tmp_path / 'given' / 'toy_std.py').resolve()
    assert (student.checkpoint, student.carry, dict(student.overrides)) == ('best', None, {'model.lambda_l1': 0.5})


# ---- mistakes in the file -------------------------------------------------------------------------------------------


def test_every_mistake_is_in_one_message(tmp_path):
    text = refusal(write_recipe(tmp_path, """
stagess = dict()
stages = dict(
    one=dict(config='toy_a.py', initfrom='two', checkpoint='newest'),
    two=dict(config='toy_c.py', init_from='on', carry='backbone'),
    model=dict(config='toy_a.py'),
    four=dict(init_from='one', overrides={'optim_wraper.optimizer.lr': 0.1}),
    five=dict(config='toy_a.py', teacher_from='one', overrides={'modle.type': 'x'}),
    six=dict(config='toy_std.py', init_from='missing.pth'),
    seven=7)
"""))
    for expected in [
            'Key "stagess" is unknown; did you mean "stages"?',
            'Stage "one": key "initfrom" is unknown; did you mean "init_from"?',
            "Stage \"one\": checkpoint must be one of last, best, got 'newest'",
            'Stage "two": config toy_c.py does not exist',
            'Stage "two": carry must be a tuple of parts',
            'Stage "two": init_from="on" is neither a stage nor a file; did you mean "one"?',
            'Stage "model": this is a key of configs',
            'Stage "four": config is missing',
            'Option "modle.type": there is no "modle"; did you mean model',
            'missing.pth does not exist (a relative path is looked for beside the recipe',
            'Stage "six": its config distils a teacher; say which one with teacher_from',
            'Stage "seven": expected a dict, got 7']:
        assert expected in text, expected


@pytest.mark.parametrize('stages, expected', [
    ("stages = dict(a=dict(config='toy_a.py', init_from='c'), b=dict(config='toy_a.py', init_from='a'), "
     "c=dict(config='toy_a.py', init_from='b'))", 'a -> c -> b -> a'),
    ("stages = dict(a=dict(config='toy_a.py', init_from='a'))", 'a -> a'),
    ("stages = dict(a=dict(config='toy_a.py', carry=('neck',)))", 'which is not given'),
    ('stages = dict()', 'at least one stage'),
    ('stages = [1]', 'must be a dict'),
    ('stages = dict(', 'cannot be read'),
    ("stages = {'a-b': dict(config='toy_a.py')}", 'must begin with a letter'),
])
def test_mistakes_of_a_recipe(tmp_path, stages, expected):
    path = write_recipe(tmp_path, stages)
    assert expected in refusal(path)
    with pytest.raises(RecipeError, match=expected):
        load_recipe(path)


def test_missing_recipe(tmp_path):
    with pytest.raises(RecipeError, match='nowhere.py does not exist. Recipes are under configs/recipes'):
        load_recipe(tmp_path / 'nowhere.py')


# ---- mistakes that show when things are built -----------------------------------------------------------------------


def changed(tmp_path, stage: str = 'second', **overrides) -> str:
    """How the toy recipe is refused when entries (dots as double underscores) of one stage are changed."""
    path = write_recipe(tmp_path)
    return refusal(path, options={f'{stage}.{key.replace("__", ".")}': value for key, value in overrides.items()})


def test_absent_data_are_refused_before_the_first_stage(tmp_path):
    data = dict(_delete_=True, type='Market1501', data_root=str(tmp_path / 'Market'), split='train', pipeline=[])
    text = changed(tmp_path, 'second', train_dataloader__dataset=data, val_dataloader__dataset=dict(data, split='test'))
    assert 'Stage "second" (its train data, its val data): Market1501: the folder' in text
    assert text.count('does not exist') == 1 and '(1 problem)' in text


@pytest.mark.parametrize('stage, option, value, expected', [
    ('second', 'model__neck__fusion_channels', (12, ),
     '"second" (init_from first): the parts that are carried do not fit'),
    ('second', 'model__neck__feat_channels', 12, 'ClassificationHead cannot read "feat" of shape (1, 12)'),
    ('second', 'model__heads__id__in_key', 'global', "reads in_key='global', the neck gives ['feat']"),
    ('first', 'model__data_preprocessor__mean', [0.0] * 3, None),
    ('second', 'model__data_preprocessor__mean', [0.0] * 3, 'student and teacher get the same images'),
    ('second', 'model__backbone__type', 'ToyTap', 'Near matches: ToyTaps'),
    ('second', 'model__heads__id__num_classes', 5, 'num_classes=5, and the training data have 7 identities'),
    ('second', 'optim_wrapper__optimizer__type', 'SDG', '"second" (optim_wrapper)'),
    ('second', 'default_hooks__latent_state__policy', 'never', '"second" (default_hooks.latent_state)'),
    ('second', 'val_evaluator__protocols', ['market'], '"second" (val_evaluator)'),
    ('second', 'train_dataloader__batch_size', 100, '28 images do not make one batch of 100'),
    ('second', 'train_dataloader__sampler__type', 'PKSampler', '"second" (its train data)'),
    ('second', 'load_from', 'x.pth', 'use init_from of the stage'),
    ('second', 'work_dir', 'x', 'use --work-dir'),
    ('student', 'model__teacher__checkpoint', 'x.pth', 'use teacher_from of the stage'),
    ('second', 'optim_wraper__type', 'x', 'did you mean optim_wrapper'),
    ('second', 'runner_type', 'Runner', "runner_type must be 'ReIDRunner'"),
    ('second', 'param_scheduler__0__type', 'LinearLRR', '"second" (param_scheduler): '),
    ('second', 'param_scheduler', [dict(type='MultiStepLR', milestone=[1])], '"second" (param_scheduler): TypeError'),
    ('second', 'train_cfg', dict(_delete_=True, by_epoch=True, max_epoch=3), '"second" (train_cfg): TypeError'),
    ('second', 'train_cfg', dict(_delete_=True, type='EpochLoop', max_epochs=3), 'Near matches: EpochTrainLoop'),
    ('second', 'val_cfg__type', 'ValidationLoop', '"second" (val_cfg): '),
    ('second', 'log_processor', dict(window=10), '"second" (log_processor): TypeError'),
    ('second', 'visualizer__vis_backends', [dict(type='LocalBackend')], 'Near matches: LocalVisBackend'),
    ('second', 'visualizer__vis_backend', [dict(type='LocalVisBackend')], 'did you mean vis_backends'),
    ('second', 'model_wrapper_cfg', dict(type='DataParalel'), '"second" (model_wrapper_cfg)'),
    ('second', 'model__neck__init_cfg', dict(type='Pretrained', checkpoint='gone.pth'), None),  # carried
    ('first', 'model__neck__init_cfg', dict(type='Pretrained', checkpoint='gone.pth'),
     'init_cfg of model.neck: gone.pth does not exist'),
    ('first', 'model__neck__init_cfg', dict(type='Pretrained', checkpoint='torchvision://resnet50'), None),
    ('second', 'default_hooks__checkpoint__save_optimizer', False, 'a recipe could not be resumed'),
    ('second', 'default_hooks__checkpoint__out_dir', 'x', 'folders of their own; use --work-dir'),
    ('second', 'val_evaluator', None, 'val_dataloader, val_cfg, val_evaluator belong together'),
    ('second', 'val_evaluator', dict(_delete_=True, type='Evaluator', metrics=[
        dict(type='ReIDMetric', protocols=['market1501'])]), None),
    ('second', 'custom_hooks', [dict(type='EMAHook', priority='VERY_HIGH')], None),
    ('second', 'custom_hooks', [dict(type='EMAHook', priority='VERY_HI')], '"second" (custom_hooks.0)'),
])
def test_what_cannot_be_built_is_refused(tmp_path, stage, option, value, expected):
    if expected is None:  # as it should be; a stage that nothing distils may prepare its images as it likes
        RecipeRun(write_recipe(tmp_path), options={f'{stage}.{option.replace("__", ".")}': value})
        return
    assert expected in changed(tmp_path, stage, **{option: value})


def test_features_of_another_length_are_refused_with_both(tmp_path):
    wide = {'model.neck.feat_channels': 24, 'model.heads.id.in_channels': 24}
    path = write_recipe(tmp_path, STAGES + 'stages.update(second=dict(\n    config="toy_b.py", '
                        f'overrides={wide}))\n')
    assert 'the feature of the teacher has 24 numbers and that of the student 16' in refusal(path)


def test_teacher_of_a_network_that_takes_none(tmp_path):
    path = write_recipe(tmp_path, "stages = dict(a=dict(config='toy_a.py'), b=dict(config='toy_a.py', "
                        "teacher_from='a'))")
    assert 'its network is a EmbeddingNet, which has no teacher' in refusal(path)


def test_teacher_that_is_no_checkpoint(tmp_path):
    (tmp_path / 'teacher.pth').write_bytes(b'nothing')
    path = write_recipe(tmp_path, f"stages = dict(a=dict(config='toy_std.py', teacher_from='{tmp_path}/teacher.pth'))")
    assert f'Stage "a" (teacher_from {tmp_path}/teacher.pth)' in refusal(path)


def test_classifier_of_other_people_is_refused(tmp_path):
    """Seven identities each, so that shapes do not tell, but other people."""
    path = write_recipe(tmp_path, """
_data = 'train_dataloader.dataset.'
stages = dict(
    a=dict(config='toy_a.py', overrides={_data + 'num_train_pids': 7}),
    b=dict(config='toy_a.py', init_from='a', carry=('backbone', 'neck', 'heads'),
           overrides={_data + 'num_train_pids': 8, _data + 'keep_pids': [1, 2, 3, 4, 5, 6, 8]}))
""")
    assert 'is a classifier of other people than those this stage trains on; leave it out of carry' in refusal(path)


def test_part_that_is_not_there(tmp_path):
    path = write_recipe(tmp_path, STAGES.replace("init_from='first'))", "init_from='first', carry=('nek',)))"))
    assert 'there is no "nek" in this network' in refusal(path)


def test_images_of_the_validation_meet_the_network(tmp_path):
    """Two stripes need a map of even height: 64 gives eight rows, 72 gives nine."""
    neck = dict(_delete_=True, type='PartPoolingNeck', in_channels=8, branches=[dict(stripes=2)], feat_channels=8)
    heads = dict(_delete_=True, id=dict(type='ClassificationHead', in_key='feat', in_channels=24, num_classes=None))
    changes = {'model.neck': neck, 'model.heads': heads, 'train_dataloader.dataset.pipeline.1.scale': (16, 64)}
    path = write_recipe(tmp_path, "stages = dict(a=dict(config='toy_a.py'))")
    fits = {**changes, 'val_dataloader.dataset.pipeline.1.scale': (16, 128),
            'test_dataloader.dataset.pipeline.1.scale': (16, 64)}
    RecipeRun(path, work_dir=tmp_path / 'work', options=fits)
    text = refusal(path, options={**fits, 'val_dataloader.dataset.pipeline.1.scale': (16, 72)})
    assert 'Stage "a" (its val images of 72 x 16): ' in text and '(1 problem)' in text


@pytest.mark.parametrize('launcher, variable', [
    ('pytorch', 'WORLD_SIZE'), ('slurm', 'SLURM_NTASKS'), ('mpi', 'OMPI_COMM_WORLD_SIZE')])
def test_identities_must_do_for_all_processes(tmp_path, monkeypatch, launcher, variable):
    """Domain a has six identities: two batches of three, not of four."""
    path = write_recipe(tmp_path, "stages = dict(a=dict(config='toy_a.py'))")
    sampler = dict(_delete_=True, type='PKSampler', num_pids=3, num_instances=2)
    options = {'train_dataloader.sampler': sampler, 'train_dataloader.batch_size': 6}
    monkeypatch.setenv(variable, '2')
    RecipeRun(path, work_dir=tmp_path / 'work', options=options, launcher=launcher)
    options = {'train_dataloader.sampler': dict(sampler, num_pids=4), 'train_dataloader.batch_size': 8}
    RecipeRun(path, work_dir=tmp_path / 'work', options=options)
    assert 'num_pids=4 x 2 process(es) = 8' in refusal(path, options=options, launcher=launcher)


def test_classes_that_come_with_the_rounds_are_not_asked_for_before(tmp_path):
    """A PK sampler over pseudo labels has nobody to draw until the first round; over known labels it does."""
    path = write_recipe(tmp_path, "stages = dict(a=dict(config='toy_a.py'), b=dict(config='toy_a.py', init_from='a'))")
    sampler = dict(_delete_=True, type='PKSampler', num_pids=4, num_instances=2)
    rounds = {f'b.{key.replace("__", ".")}': value for key, value in pseudo_options(
        hook=dict(type='PseudoLabelHook', epochs_per_round=1)).items()}
    rounds.update({'b.train_dataloader.sampler': sampler, 'b.train_dataloader.batch_size': 8})
    RecipeRun(path, work_dir=tmp_path / 'work', options=rounds)
    known = dict(rounds['b.train_dataloader.dataset']['dataset'], pipeline=toy_config('unused').pipeline,
                 _delete_=True, num_train_pids=3)
    text = refusal(path, options={**rounds, 'b.train_dataloader.dataset': known, 'b.custom_hooks': []})
    assert 'PKSampler needs num_pids=4 x 1 process(es) = 4 different identities in a batch, the dataset has 3' in text


@pytest.mark.parametrize('key', ['init_from', 'teacher_from'])
def test_addresses_are_refused(tmp_path, key):
    path = write_recipe(tmp_path, f"stages = dict(a=dict(config='toy_std.py', {key}='https://example.org/a.pth'))")
    assert f"{key} must be the name of a stage, a checkpoint file (download it first" in refusal(path)


def test_files_are_found_where_configs_are(tmp_path, monkeypatch):
    given, own, here = (tmp_path / name for name in ('given', 'own', 'here'))
    for folder in (given, own, here):
        folder.mkdir()
    write_recipe(given, "stages = dict(a=dict(config='toy_std.py', init_from='one.pth', teacher_from='sub/two.pth'))")
    (own / 'mine.py').write_text("_base_ = '../given/toy_recipe.py'\n")
    monkeypatch.chdir(here)
    (given / 'one.pth').touch()
    (here / 'sub').mkdir()
    (here / 'sub' / 'two.pth').touch()
    stage, = load_recipe(own / 'mine.py')
    assert (stage.init_from, stage.teacher_from) == (str(given / 'one.pth'), str(here / 'sub' / 'two.pth'))


# ---- pieces ---------------------------------------------------------------------------------------------------------


def test_misfits_name_what_is_missing_left_over_and_of_another_shape():
    def state(**shapes):
        return {key.replace('__', '.'): torch.empty(shape) for key, shape in shapes.items()}
    own = state(backbone__w=(2, 3), backbone__b=(2, ), neck__w=(1, ), heads__id__w=(5, ))
    given = state(backbone__w=(2, 4), backbone__c=(2, ), neck__w=(1, ), heads__id__w=(6, ))
    found = misfits(own, given, ('backbone', ))
    assert len(found) == 3
    assert any('backbone.w' in text and '(2, 3)' in text and '(2, 4)' in text for text in found)
    assert any('missing' in text and 'backbone.b' in text for text in found)
    assert any('left over' in text and 'backbone.c' in text for text in found)
    assert misfits(own, given, ('neck', )) == []
    assert len(misfits(own, given, None)) == 3  # classifiers of other people are not carried
    assert len(misfits(own, given, ('heads.id', ))) == 1


def test_networks_are_inspected_without_values():
    model = toy_config('unused').model.to_dict()
    model['heads']['id']['num_classes'] = 6
    network = inspect_network(model, (32, 16))
    state = network.module.state_dict()
    assert network.feature_length == 16 and state['backbone.stem.0.weight'].shape == STEM
    assert all(value.is_meta for value in state.values())


def test_options_of_one_stage_and_of_all():
    options = {'student.model.lambda_l1': 0.5, 'randomness.seed': 3, 'model.neck.pool': 'max', 'student': 1}
    common, own = split_options(options, ['student', 'teacher'])
    assert common == {'randomness.seed': 3, 'model.neck.pool': 'max', 'student': 1}
    assert own == {'student': {'model.lambda_l1': 0.5}, 'teacher': {}}


def test_options_reach_the_configs(tmp_path):
    run = RecipeRun(write_recipe(tmp_path), options={'randomness.seed': 3, 'second.randomness.seed': 4}, amp=True)
    assert [cfg.randomness.seed for cfg in run.configs.values()] == [3, 4, 3]
    assert {cfg.optim_wrapper.type for cfg in run.configs.values()} == {'ReIDAmpOptimWrapper'}
    assert '2. second: ' in run.plan and 'starts from backbone, neck of first' in run.plan
    assert 'taught by second' in run.plan and '28 images / 7 identities' in run.plan


def test_changes_name_the_keys():
    before = dict(config=dict(optimizer=dict(lr=0.1, type='SGD'), old=1), carry=['neck'])
    now = dict(config=dict(optimizer=dict(lr=0.2, type='SGD'), new=2), carry=['neck'])
    assert changes(before, now) == ['optimizer.lr was 0.1, is now 0.2', "old was 1, is now '(absent)'",
                                    "new was '(absent)', is now 2"]
    assert changes(now, now) == []


def test_definitions_are_stable():
    """The same config in another process: sets in another order, functions elsewhere in memory, NaN unequal to NaN."""
    program = ("import json; from mmreid.engine.recipes.definition import canonical; from pathlib import Path\n"
               "from fractions import Fraction\n"
               "class Odd: pass\n"
               "print(json.dumps(canonical(dict(words=set('abcdefgh'), call=len, kind=Fraction, thing=Odd(), "
               "nothing=float('nan'), most=float('inf'), place=Path('a'), pair=(1, 2.5)))))")
    texts = {subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True,
                            env=dict(os.environ, PYTHONHASHSEED=seed, PYTHONPATH=str(ROOT))).stdout
             for seed in ('1', '2')}
    text, = texts
    assert json.loads(text) == dict(
        words=list('abcdefgh'), call='builtins.len', kind='fractions.Fraction', thing='<__main__.Odd object>',
        nothing='nan', most='inf', place='a', pair=[1, 2.5])


@pytest.mark.parametrize('key, best, weighty', [
    ('optim_wrapper.optimizer.lr', False, True), ('train_dataloader.batch_size', False, True),
    ('train_dataloader.num_workers', False, False), ('train_dataloader.dataset.data_root', False, False),
    ('train_dataloader.dataset.datasets.1.data_root', False, False), ('log_level', False, False),
    ('train_dataloader.dataset.data_rooted', False, True), ('my_variable', False, False),
    ('default_hooks.logger.interval', False, False), ('visualizer.type', False, False),
    ('test_dataloader.batch_size', True, False), ('val_evaluator.rerank', False, False),
    ('val_evaluator.rerank', True, True), ('train_cfg.val_interval', False, False),
    ('train_cfg.max_epochs', False, True), ('randomness.seed', False, True),
])
def test_changes_that_matter_to_a_finished_training(key, best, weighty):
    def one(value):
        node = value
        for name in reversed(key.split('.')):
            node = [None, node] if name == '1' else {name: node}
        return dict(checkpoint='best' if best else 'last', config=node)
    expected = [f'{key} was 1, is now 2']
    assert changes(one(1), one(2)) == expected
    assert weighty_changes(one(1), one(2)) == (expected if weighty else [])


def test_validation_that_steers_the_training_matters():
    def one(interval):
        return dict(checkpoint='last', config=dict(train_cfg=dict(val_interval=interval), custom_hooks=[
            dict(type='EarlyStoppingHook', monitor='market1501/mAP')]))
    assert weighty_changes(one(1), one(2)) == ['train_cfg.val_interval was 1, is now 2']


def test_file_that_does_not_hold_a_network(tmp_path):
    write_checkpoint({'state_dict': {'backbone.stem.0.weight': torch.zeros(STEM)}}, tmp_path / 'part.pth')
    path = write_recipe(tmp_path, "stages = dict(a=dict(config='toy_a.py', init_from="
                        f"'{tmp_path}/part.pth', carry=('backbone',)))")
    text = refusal(path)
    assert 'missing: backbone.stem.0.bias (8,)' in text and 'backbone.stem.0.weight' not in text


@pytest.mark.parametrize('entry, expected', [
    (dict(epochs=3, iterations=30, seconds=6.), '3 epochs'), (dict(epochs=0, iterations=1200, seconds=6.),
                                                              '1,200 iterations'), (dict(status='running'), '-')])
def test_length_of_a_training_is_in_its_own_unit(tmp_path, entry, expected):
    entry = dict(config='c.py', init_from=None, teacher_from=None, **entry)
    header, _, row = ([cell.strip() for cell in line.split('|')]
                      for line in results_table(RecipeState(tmp_path, dict(stages=dict(a=entry)))).split('\n'))
    assert row[header.index('trained for')] == expected
