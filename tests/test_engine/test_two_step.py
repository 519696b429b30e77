"""Two-stepped fine-tuning (DTL, section 4.1) in short real trainings: what moves, the log, resume, two processes."""

import copy
import datetime
import json

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from torch import nn

from mmreid.registry import HOOKS, MODELS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmreid.utils.distributed import close_process_group
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

#: Iterations of the first step, and of both.
FIRST, ALL = 3, 6
IDS, PAIRS = ('id', 'id_aux1', 'id_aux2'), ('ver', 'ver_aux1', 'ver_aux2')
KEYS = dict(zip(IDS + PAIRS, ('feat', 'aux1', 'aux2') * 2, strict=True))
CLASSIFIERS = {f'heads.{name}.classifier.{kind}' for name in IDS for kind in ('weight', 'bias')}
FROZEN = ('backbone', 'neck', *(f'heads.{name}' for name in PAIRS))
PHASES = [dict(name='classifiers', frozen=FROZEN, heads_off=PAIRS), dict(name='everything', begin=FIRST)]


@MODELS.register_module()
class ThreeMaps(nn.Module):
    """Two maps of 8x4 and one of 4x2, with batch norm and dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
                                    nn.Dropout(0.2))
        self.third = nn.Sequential(nn.Conv2d(12, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())

    def forward(self, image):
        first = self.first(image)
        second = self.second(first)
        return first, second, self.third(second)


def head(name: str) -> dict:
    in_key = KEYS[name]
    common = dict(in_key=in_key, in_channels=16, dropout=0.3)
    weight = 1.0 if in_key == 'feat' else 0.3
    if name in IDS:
        return dict(common, type='ClassificationHead', num_classes=None,
                    loss=dict(type='CrossEntropyLoss', loss_weight=weight))
    return dict(common, type='VerificationHead', hidden_channels=8, loss_weight=3 * weight)


MODEL = dict(
    _delete_=True, type='EmbeddingNet', backbone=dict(type='ThreeMaps'),
    data_preprocessor=dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True),
    neck=dict(type='DTLNeck', in_channels=(8, 12, 16), aux_cfg=dict(feat_channels=16, mid_channels=4)),
    heads={name: head(name) for name in KEYS})


@HOOKS.register_module()
class StepWitness(Hook):
    """After each iteration: all weights and statistics, the gradients, and whose momentum the optimizer holds."""
    priority = 'BELOW_NORMAL'

    def __init__(self) -> None:
        self.weights, self.gradients, self.momenta = [], [], []

    def before_train(self, runner):
        self.weights.append(state(runner))
        self.names = {parameter: name for name, parameter in bare(runner).named_parameters()}
        runner.optim_wrapper.optimizer.register_step_pre_hook(self.note_gradients)  # they are gone after the step

    def note_gradients(self, optimizer, *_):
        self.gradients.append({name for parameter, name in self.names.items()
                               if parameter.grad is not None and bool(parameter.grad.any())})

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(state(runner))
        held = runner.optim_wrapper.optimizer.state
        self.momenta.append({self.names[parameter] for parameter, kept in held.items() if kept})


def bare(runner):
    return getattr(runner.model, 'module', runner.model)


def state(runner):
    return {key: value.clone() for key, value in bare(runner).state_dict().items()}


def options(phases=PHASES, processes=1, **more):
    given = dict(
        model=MODEL, train_cfg=dict(_delete_=True, by_epoch=False, max_iters=ALL, val_interval=100),
        train_dataloader__batch_size=6,
        train_dataloader__sampler=dict(_delete_=True, type='PKSampler', num_pids=3, num_instances=2),
        param_scheduler=[dict(type='MultiStepLR', by_epoch=False, milestones=[FIRST + 1], gamma=0.1)],
        # Weight decay would move what is frozen, were the optimizer to see it.
        optim_wrapper__optimizer__weight_decay=0.01, val_dataloader=None, val_cfg=None, val_evaluator=None,
        default_hooks__checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=-1),
        default_hooks__logger=dict(type='LoggerHook', interval=1), log_processor=dict(by_epoch=False, window_size=1),
        custom_hooks=[dict(type='StepWitness')])
    if phases:
        given['custom_hooks'].append(dict(type='PhaseHook', by_epoch=False, phases=phases))
    if processes > 1:
        given.update(launcher='pytorch', find_unused_parameters=True)
    return {**given, **more}


def train(folder, **more):
    runner = toy_runner(folder, **options(**more))
    runner.train()
    return runner, next(hook for hook in runner.hooks if isinstance(hook, StepWitness))


def steps(witness):
    """Names of what changed, by iteration."""
    return [{key for key in before if not torch.equal(before[key], after[key])}
            for before, after in zip(witness.weights[:-1], witness.weights[1:], strict=True)]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A training of both steps: its folder, runner and witness."""
    folder = tmp_path_factory.mktemp('whole')
    return folder, *train(folder)


def test_in_the_first_step_only_the_classifiers_change(whole):
    _, runner, witness = whole
    assert any('running_var' in key for key in witness.weights[0]), 'the toy lacks statistics'
    for number, step in enumerate(steps(witness)[:FIRST]):
        assert step == CLASSIFIERS
        assert witness.gradients[number] == CLASSIFIERS and witness.momenta[number] == CLASSIFIERS
    assert same({key: value for key, value in witness.weights[0].items() if key not in CLASSIFIERS},
                {key: value for key, value in witness.weights[FIRST].items() if key not in CLASSIFIERS})


def test_in_the_second_step_everything_changes(whole):
    _, runner, witness = whole
    parameters = {name for name, _ in runner.model.named_parameters()}
    assert witness.gradients[FIRST] == parameters and witness.momenta[FIRST] == parameters
    assert steps(witness)[FIRST] == set(witness.weights[0])  # the statistics, too
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_three_losses_in_the_log_and_then_six(whole):
    folder = whole[0]
    lines = [json.loads(line) for line in next(folder.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    logged = {line['step']: line for line in lines if 'loss' in line}
    assert sorted(logged) == list(range(1, ALL + 1))
    for step, line in logged.items():
        expected = {f'{name}.loss_ce' for name in IDS} | ({f'{name}.loss_ver' for name in PAIRS} if step > FIRST
                                                         else set())
        assert {key for key in line if '.loss' in key} == expected
        assert line['loss'] == pytest.approx(sum(line[key] for key in expected), rel=1e-5)


@pytest.mark.parametrize('at', [FIRST - 2, FIRST - 1, FIRST, FIRST + 1])
def test_resumed_inside_the_first_step_and_at_the_border(whole, tmp_path, at):
    folder, _, witness = whole
    _, again = train(tmp_path, resume=True, load_from=str(folder / f'iter_{at}.pth'))
    assert len(again.weights) == ALL - at + 1
    for expected, found in zip(witness.weights[at:], again.weights, strict=True):
        assert same(expected, found)
    assert again.momenta == witness.momenta[at:]
    left, right = (read_checkpoint(place / f'iter_{ALL}.pth') for place in (folder, tmp_path))
    assert same(left['optimizer'], right['optimizer']) and same(left['state_dict'], right['state_dict'])


def test_in_one_step_everything_changes_from_the_start(tmp_path):
    runner, witness = train(tmp_path, phases=None)
    assert steps(witness)[0] == set(witness.weights[0])
    assert witness.gradients[0] == {name for name, _ in runner.model.named_parameters()}


# ---- what is carried from stage to stage ----------------------------------------------------------------------------


def verification(weights):
    return {key: value for key, value in weights.items() if key.startswith('heads.ver')}


@pytest.mark.parametrize('parts', [None, FROZEN])
@pytest.mark.parametrize('people', [6, 7])
def test_the_verification_subnet_goes_along_and_the_classifiers_start_new(whole, tmp_path, parts, people):
    """Other people, as many or more of them."""
    folder, _, source = whole
    other = dict(train_dataloader__dataset__domain='b', train_dataloader__dataset__num_train_pids=people)
    more = dict(load_from=str(folder / f'iter_{ALL}.pth'), load_parts=parts, **other)
    _, witness = train(tmp_path, **more)
    trained, start = source.weights[-1], witness.weights[0]
    assert set(start) == set(trained) and verification(start)
    for key, value in start.items():
        if key in CLASSIFIERS:
            assert value.shape[0] == people and (value.shape != trained[key].shape
                                                 or not torch.equal(value, trained[key])), key
        else:
            assert torch.equal(value, trained[key]), key
    assert same(verification(witness.weights[FIRST]), verification(trained))


def test_classifiers_of_the_same_people_may_go_on(whole, tmp_path):
    """The same data set again: only then does loading everything include the classifiers."""
    folder, _, source = whole
    _, witness = train(tmp_path, load_from=str(folder / f'iter_{ALL}.pth'))
    assert same(witness.weights[0], source.weights[-1])


# ---- bad input ------------------------------------------------------------------------------------------------------


def test_another_number_of_people_cannot_be_resumed(whole, tmp_path):
    more = dict(resume=True, load_from=str(whole[0] / f'iter_{FIRST + 1}.pth'),
                train_dataloader__dataset__num_train_pids=8)
    with pytest.raises(CheckpointError, match=r'heads\.id\.classifier\.weight.*'):
        train(tmp_path, **more)


def test_a_stated_number_of_people_must_be_that_of_the_data(tmp_path):
    model = copy.deepcopy(MODEL)
    model['heads']['id_aux2']['num_classes'] = 9
    with pytest.raises(ValueError, match='num_classes=9 of a ClassificationHead does not match .* 6 identities'):
        train(tmp_path, model=model)


@pytest.mark.parametrize('phase, message', [
    (dict(frozen=('backbone', 'heads.verification')), r'heads\.verification.*heads\.ver_aux2'),
    (dict(frozen=('backbone', 'neck.oux*')), r'neck\.oux\*.*neck\.auxiliary'),
    (dict(heads_off=('ver_aux3', )), 'ver_aux3'),
    (dict(frozen=('backbone', 'neck', 'heads')), 'nothing is left to train'),
    (dict(heads_off=IDS + PAIRS), 'all heads'),
])
def test_a_first_step_that_names_nothing(tmp_path, phase, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, phases=[dict(name='classifiers', **phase), dict(begin=FIRST)])


def test_parts_that_a_source_lacks(whole, tmp_path):
    """A network trained with SID alone has no verification subnet to hand on."""
    checkpoint = read_checkpoint(whole[0] / f'iter_{ALL}.pth')
    weights = {key: value for key, value in checkpoint['state_dict'].items() if not key.startswith('heads.ver')}
    write_checkpoint(weights, tmp_path / 'sid.pth')
    with pytest.raises(CheckpointError, match=r'load_parts names "heads\.ver", and .*sid\.pth has no weights'):
        train(tmp_path / 'work', load_from=str(tmp_path / 'sid.pth'), load_parts=FROZEN)


# ---- two processes --------------------------------------------------------------------------------------------------


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=100))
    _, witness = train(folder / 'whole', processes=2)
    found = dict(weights=witness.weights, gradients=witness.gradients, momenta=witness.momenta)
    _, again = train(folder / 'again', processes=2, resume=True,
                     load_from=str(folder / 'whole' / f'iter_{FIRST}.pth'))
    torch.save(dict(found, resumed=again.weights), folder / f'{rank}.pt')
    close_process_group()


@pytest.fixture(scope='module')
def processes(tmp_path_factory):
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp('processes')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        patch.setenv('OMP_NUM_THREADS', '1')
        mp.start_processes(work, args=(folder, ), nprocs=2, start_method='spawn')
    return [torch.load(folder / f'{rank}.pt', weights_only=False) for rank in range(2)]


def moved(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_two_processes_keep_what_is_frozen(processes):
    for found in processes:
        assert moved(found['weights'][0], found['weights'][FIRST]) == CLASSIFIERS
        assert all(gradients == CLASSIFIERS for gradients in found['gradients'][:FIRST])
        assert all(momenta == CLASSIFIERS for momenta in found['momenta'][:FIRST])
        assert moved(found['weights'][FIRST], found['weights'][FIRST + 1]) == set(found['weights'][0])


def test_two_processes_hold_the_same_parameters(processes):
    zero, one = processes
    for left, right in zip(zero['weights'], one['weights'], strict=True):
        names = [key for key in left if 'running' not in key]  # statistics are each process's own
        assert all(torch.equal(left[key], right[key]) for key in names)


def test_two_processes_resumed_at_the_border(processes):
    """Statistics of the second process are those of the first after a resume, so parameters are compared there."""
    for found in processes:
        assert same(found['resumed'][0], found['weights'][FIRST])
        for expected, again in zip(found['weights'][FIRST:], found['resumed'], strict=True):
            assert all(torch.equal(expected[key], again[key]) for key in expected if 'running' not in key)
