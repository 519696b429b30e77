"""Algorithm 1: explore, go back, choose, exploit; and go on after an interruption."""

import json
import math
import random
import shutil

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmreid.engine.progressive.record import ProgressiveRecord
from mmreid.engine.progressive.trial import TrialRun
from mmreid.engine.runner import ProgressiveLearningLoop
from mmreid.registry import HOOKS, MODELS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from mmreid.utils.config import ConfigError
from tests.test_engine.test_progressive.toy import (
    BY_HAND,
    SPACE,
    Calls,
    Interrupted,
    content,
    lines_of,
    options,
    runner_of,
)
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

EPOCHS = 5  # of exploitation


@HOOKS.register_module()
class HandSteered(Hook):
    """Sets what a progressive run has chosen, in a training without exploration."""

    def __init__(self, chosen: list) -> None:
        self.chosen = chosen

    def before_train_epoch(self, runner) -> None:
        for name, value in self.chosen[runner.epoch // 2].items():
            setattr(runner.model.heads['tri'].loss_module, name, value)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run of three cycles, the last one shorter."""
    folder = tmp_path_factory.mktemp('whole')
    runner = runner_of(folder, custom_hooks=[BY_HAND, dict(type='Calls')])
    runner.train()
    return folder, runner, ProgressiveRecord(folder)


# ---- the course of a run --------------------------------------------------------------------------------------------


def test_cycles_and_trials(whole):
    _, runner, record = whole
    assert runner.epoch == EPOCHS and runner.iter == 2 * EPOCHS
    assert [(line['cycle'], line['trial']) for line in record.trials] == [(c, t) for c in (1, 2, 3) for t in (1, 2, 3)]
    assert [line['epoch'] for line in record.trials] == [0] * 3 + [2] * 3 + [4] * 3
    assert [(line['epoch_begin'], line['epoch_end']) for line in record.cycles] == [(0, 2), (2, 4), (4, 5)]
    sets = [tuple(line['values'].values()) for line in record.trials]
    assert len(set(sets)) == 9 and all(list(line['values']) == list(SPACE) for line in record.trials)
    for line in record.trials:
        first, second = line['losses']
        assert line['objective'] == pytest.approx(abs((first - second) / first - 0.15), abs=1e-12)
        assert line['note'] == '' and line['seconds'] > 0
    for cycle in record.cycles:  # RandomSearch exploits the best
        best = min((line for line in record.trials if line['cycle'] == cycle['cycle']), key=lambda t: t['objective'])
        assert cycle['values'] == best['values'] and cycle['explore_seconds'] > 0 and cycle['exploit_seconds'] > 0


def test_a_run_equals_one_that_knew_the_choices(whole, tmp_path):
    """Without exploration, but with the same values set by hand: the same weights, logs, schedules and hook calls."""
    folder, runner, record = whole
    hooks = [dict(type='HandSteered', chosen=[line['values'] for line in record.cycles]), BY_HAND, dict(type='Calls')]
    more = options(custom_hooks=hooks)
    more['train_cfg'] = dict(by_epoch=True, max_epochs=EPOCHS, val_interval=1)
    plain = toy_runner(tmp_path, **more)
    plain.train()
    left, right = (content(place / f'epoch_{EPOCHS}.pth') for place in (folder, tmp_path))
    left['info'].pop('progressive')
    assert {key for key in left if not same(left[key], right[key])} == set()
    assert len(left['scalars']['train/loss']) == 2 * EPOCHS and 'train/grad_norm' in left['scalars']
    calls, expected = (next(hook.calls for hook in r.hooks if isinstance(hook, Calls)) for r in (runner, plain))
    assert calls == expected and len([call for call in calls if call[0] == 'epoch']) == EPOCHS
    texts = [next(place.glob('*/vis_data/scalars.json')).read_text() for place in (folder, tmp_path)]
    left, right = ([json.loads(line)['step'] for line in text.splitlines()] for text in texts)
    assert left == right  # no lines of trials


def losses_by_hand(start, line, work_dir, initial, kind='SGD', accumulate=1, **more):
    """Losses of the epochs of a trial by a plain loop over the checkpoint ``start``: ``initial`` rates, moments as they
    are, a step after so many batches."""
    other = runner_of(work_dir, **more)
    loader = other.build_dataloader(other._train_dataloader, seed=0)
    checkpoint = read_checkpoint(start)
    model = other.model
    model.load_state_dict(checkpoint['state_dict'])
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=1.0)
    optimizer.load_state_dict({key: checkpoint['optimizer'][key] for key in ('state', 'param_groups')})
    optimizer.param_groups[0].update(initial)
    for name, value in line['values'].items():
        setattr(model.heads['tri'].loss_module, name, value)
    seed = np.random.SeedSequence([0x9A7, 0, line['cycle'], 0]).generate_state(1).item()
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    model.train()
    found, batches = [], 0
    for epoch in range(2):
        loader.batch_sampler.sampler.set_epoch(1_000_000 + 2 * (line['cycle'] - 1) + epoch)
        losses = []
        for cell in (module for module in model.modules() if hasattr(module, 'reset_state')):
            cell.reset_state()
        for batch in loader:
            data = model.data_preprocessor(batch, True)
            values = model.loss(**data)
            total = sum(value.mean() for key, value in values.items() if 'loss' in key)
            (total / accumulate).backward()
            batches += 1
            if batches % accumulate == 0:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(total.item())
        found.append(np.mean(losses))
    return found, checkpoint


def test_a_trial_by_hand(whole, tmp_path):
    """The second trial of the second cycle, after schedules have changed the rates."""
    folder, _, record = whole
    more = dict(model__heads__ce__loss=dict(type='CrossEntropyLoss', loss_weight=0.5))  # of epoch 2, by the hook
    found, start = losses_by_hand(
        folder / 'epoch_2.pth', record.trials[4], tmp_path, dict(lr=0.05, momentum=0.9), **more)
    group, = start['optimizer']['param_groups']
    assert group['lr'] < 0.05 and group['momentum'] < 0.9
    assert found == pytest.approx(record.trials[4]['losses'], rel=1e-6)


def test_a_trial_by_hand_with_betas(tmp_path):
    """Also where a schedule has changed the first beta before the first step."""
    more = dict(optim_wrapper__optimizer=dict(_delete_=True, type='Adam', lr=0.01, betas=(0.9, 0.95)), param_scheduler=[
        dict(type='HoldThenDecayLR', hold=1, decay_end=3),
        dict(type='LinearMomentum', start_factor=0.5, by_epoch=True, begin=0, end=9)])
    runner_of(tmp_path / 'run', **more, loop__max_epochs=3, loop__num_trials=2).train()
    lines = ProgressiveRecord(tmp_path / 'run').trials
    for number, line in ((0, lines[1]), (2, lines[3])):
        found, start = losses_by_hand(tmp_path / 'run' / f'epoch_{number}.pth', line, tmp_path / f'{number}',
                                      dict(lr=0.01, betas=(0.9, 0.95)), kind='Adam')
        assert start['optimizer']['param_groups'][0]['betas'][0] < 0.7
        assert found == pytest.approx(line['losses'], rel=1e-6)


def test_a_trial_by_hand_while_gradients_wait(tmp_path):
    """A cycle that ends with gradients of two of three batches: trials begin with none."""
    more = dict(optim_wrapper__accumulative_counts=3, loop__max_epochs=2, loop__num_trials=2, loop__exploit_epochs=1)
    runner_of(tmp_path / 'run', **more, param_scheduler=[]).train()
    line = ProgressiveRecord(tmp_path / 'run').trials[3]
    found, start = losses_by_hand(tmp_path / 'run' / 'epoch_1.pth', line, tmp_path / 'by_hand',
                                  dict(lr=0.05, momentum=0.9), accumulate=3)
    assert start['train_state']['ranks'][0]['grads'] and start['meta']['iter'] == 2
    assert found == pytest.approx(line['losses'], rel=1e-6)


def test_trials_are_in_the_phase_of_their_cycle(tmp_path, monkeypatch):
    """Frozen parts keep parameters and statistics of norms in trials, too, and others do not."""
    carried_out, seen = TrialRun._mean, []

    def mean(self, losses):
        backbone = runner.model.backbone
        seen.append((runner.epoch, {key: value.clone() for key, value in backbone.state_dict().items()},
                     [p.requires_grad for p in backbone.parameters()], backbone.training))
        return carried_out(self, losses)

    monkeypatch.setattr(TrialRun, '_mean', mean)
    phases = [dict(frozen=('backbone', )), dict(begin=2), dict(begin=4, frozen=('backbone', ))]
    runner = runner_of(tmp_path, custom_hooks=[dict(type='PhaseHook', phases=phases)], loop__num_trials=2)
    runner.train()
    assert [epoch for epoch, *_ in seen] == [0] * 4 + [2] * 4 + [4] * 4
    for epoch, weights, gradients, training in seen:
        before = read_checkpoint(tmp_path / f'epoch_{epoch}.pth')['state_dict']
        same_as_before = {key: torch.equal(value, before[f'backbone.{key}']) for key, value in weights.items()
                          if key != 'stem.0.bias' or epoch != 2}  # batch norm takes it out: its gradient is about 0
        trained = epoch == 2
        assert training is trained and set(gradients) == {trained}
        assert not any(same_as_before.values()) if trained else all(same_as_before.values())


def test_a_phase_outlives_the_trials_in_it(tmp_path):
    """Going back leaves a head off that the phase has switched off."""
    phases = [dict(heads_off=('tri', )), dict(begin=2)]
    runner = runner_of(tmp_path, custom_hooks=[dict(type='PhaseHook', phases=phases)], loop__max_epochs=3,
                       loop__num_trials=1)
    runner.train()
    lengths = {name: len(buffer.data[0]) for name, buffer in runner.message_hub.log_scalars.items()}
    assert (lengths['train/loss'], lengths['train/tri.loss_triplet']) == (6, 2)


def test_phases_of_labels_and_a_search(tmp_path):
    hook = dict(type='PhaseHook', phases=[dict(labels=('true', ))])
    with pytest.raises(ValueError, match='labels, which trials of ProgressiveLearningLoop would not look at'):
        runner_of(tmp_path, custom_hooks=[hook]).train()


def test_trials_of_a_cycle_differ_by_their_values_alone(tmp_path):
    search = dict(type='GridSearch', points=[dict(k=2, p=3), dict(k=1, p=1), dict(k=2, p=3)])
    space = {name: SPACE[name] for name in ('k', 'p')}
    runner_of(tmp_path, loop__search=search, loop__space=space, loop__max_epochs=3).train()
    trials = ProgressiveRecord(tmp_path).trials
    first, second, third = trials[:3]  # the third has the values of the first
    assert first['losses'] == third['losses'] != second['losses']
    assert trials[3]['values'] == first['values'] and trials[3]['losses'] != first['losses']


def test_the_weights_of_the_lowest_loss_are_kept(whole):
    folder, runner, record = whole
    for cycle in record.cycles:
        file = read_checkpoint(folder / 'pla' / f'cycle_{cycle["cycle"]}_lowest_loss.pth')
        assert set(file) == {'meta', 'state_dict'} and file['meta']['epoch'] == cycle['lowest_epoch']
        assert file['meta']['progressive'] == dict(
            cycle=cycle['cycle'], values=cycle['values'], loss=cycle['lowest_loss'])
        at_epoch = read_checkpoint(folder / f'epoch_{cycle["lowest_epoch"]}.pth')
        assert same(file['state_dict'], at_epoch['state_dict'])
        values = at_epoch['message_hub']['log_scalars']['train/loss']['values'].reshape(-1, 2).mean(1)
        own = values[cycle['epoch_begin']:cycle['lowest_epoch']]
        assert float(own.min()) == float(own[-1]) == pytest.approx(cycle['lowest_loss'], rel=1e-12)


def test_the_lowest_is_not_the_last(tmp_path):
    """A rate that blows the loss up in the second epoch of the cycle."""
    up = dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=200.0)
    runner_of(tmp_path, param_scheduler=[up], loop__max_epochs=3, loop__exploit_epochs=3).train()
    cycle, = ProgressiveRecord(tmp_path).cycles
    losses = read_checkpoint(tmp_path / 'epoch_3.pth')['message_hub']['log_scalars']['train/loss']['values']
    means = losses.reshape(-1, 2).mean(1)
    assert cycle['lowest_epoch'] == int(means.argmin()) + 1 < 3
    assert cycle['lowest_loss'] == pytest.approx(float(means.min()))
    file = read_checkpoint(tmp_path / 'pla' / 'cycle_1_lowest_loss.pth')
    assert same(file['state_dict'], read_checkpoint(tmp_path / f'epoch_{cycle["lowest_epoch"]}.pth')['state_dict'])


def test_kept_weights_can_be_tested(whole, tmp_path):
    folder, _, record = whole
    runner = toy_runner(tmp_path, **{
        **options(), 'load_from': str(folder / 'pla' / 'cycle_3_lowest_loss.pth'), 'resume': False})
    metrics = runner.test()
    assert math.isfinite(metrics['market1501/mAP'])
    with pytest.raises(CheckpointError, match='no training state'):
        runner_of(tmp_path / 'resumed', resume=True,
                  load_from=str(folder / 'pla' / 'cycle_3_lowest_loss.pth')).train()


def test_counting_exploration(tmp_path):
    """8 epochs: 3 x 2 of exploration, 2 of exploitation; 13: one cycle, and what a second exploration would spend."""
    for total, left in ((8, 2), (13, 2), (15, 3), (7, 1)):
        runner = runner_of(tmp_path / str(total), loop__max_epochs=total, loop__count_exploration=True)
        assert runner.build_train_loop(runner._train_loop).max_epochs == left
    runner = runner_of(tmp_path, loop__max_epochs=6, loop__count_exploration=True)
    with pytest.raises(ValueError, match=r'max_epochs=6 is spent by the 3 x 2 epochs'):
        runner.build_train_loop(runner._train_loop)


class Recorder:
    """A search that notes what it is shown."""

    def __init__(self, history='none'):
        self.history, self.shown = history, []

    def check(self, space, num_trials):
        pass

    def settings(self):
        return dict(type='Recorder')

    def suggest(self, space, observations, seed, cycle=None):
        self.shown.append((cycle, [(line['cycle'], line['trial']) for line in observations], seed))
        return space.sample(np.random.default_rng([seed, cycle, len(observations)]))

    def choose(self, space, observations, seed, cycle=None):
        self.shown.append((cycle, [(line['cycle'], line['trial']) for line in observations], seed))
        return observations[-1]['values']

    def explain(self, space, observations, values, cycle=None):
        return {}


TASK_UTILS.register_module(module=Recorder)


@pytest.mark.parametrize('history', ['cycle', 'all'])
def test_what_the_search_is_shown(tmp_path, history):
    runner = runner_of(tmp_path, loop__search=dict(type='Recorder'), loop__gp_history=history, loop__num_trials=2,
                       loop__max_epochs=3, loop__seed=7)
    runner.train()
    search = runner.train_loop.search
    first, second = [(1, 1), (1, 2)], [(2, 1), (2, 2)]
    earlier = first if history == 'all' else []
    assert search.history == history
    assert search.shown == [(1, [], 7), (1, first[:1], 7), (1, first, 7),
                            (2, earlier, 7), (2, earlier + second[:1], 7), (2, earlier + second, 7)]


def test_bayesian_search_is_the_default(tmp_path):
    runner = runner_of(tmp_path, loop__search=None, loop__max_epochs=1)
    runner.train()
    cycle, = ProgressiveRecord(tmp_path).cycles
    assert type(runner.train_loop.search).__name__ == 'BayesianSearch' and cycle['expected_improvement'] >= 0
    assert cycle['values'] not in [line['values'] for line in ProgressiveRecord(tmp_path).trials]


# ---- interruptions --------------------------------------------------------------------------------------------------


def interrupt_trial(patch, number):
    """Stop like a crash inside a trial, counted over the whole run, after its first epoch."""
    carried_out, done = TrialRun._mean, []

    def mean(self, losses):
        done.append(1)
        if len(done) == 2 * number:  # of two epochs
            raise Interrupted
        return carried_out(self, losses)

    patch.setattr(TrialRun, '_mean', mean)


def interrupt_choice(patch, number):
    """Stop like a crash between exploration and exploitation of a cycle."""
    kind, done = TASK_UTILS.get('RandomSearch'), []
    whole = kind.choose

    def choose(self, *args, **kwargs):
        done.append(1)
        if len(done) == number:
            raise Interrupted
        return whole(self, *args, **kwargs)

    patch.setattr(kind, 'choose', choose)


INSIDE = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1)
SELDOM = dict(default_hooks__checkpoint__interval=3)


def slow(*values, **more):
    return pytest.param(*values, marks=pytest.mark.slow, **more)


@pytest.mark.parametrize('more, trial, choice, stop', [
    slow(dict(), 1, None, None, id='first trial'),
    slow(dict(), 3, None, None, id='third trial'),
    pytest.param(dict(), 5, None, None, id='trial of the second cycle'),
    pytest.param(dict(), None, 2, None, id='before the choice'),
    slow(dict(), None, None, -1, id='in the middle of a cycle'),
    pytest.param(dict(), None, None, -2, id='at its end'),
    slow(SELDOM, None, None, -4, id='seldom written: end'),
    pytest.param(SELDOM, 8, None, None, id='seldom written: trial'),
    slow(INSIDE, None, None, 5, id='inside an epoch'),
    pytest.param(INSIDE, None, None, 4, id='last batch of a cycle'),
    slow(INSIDE, None, None, 3, id='next to last batch'),
])
def test_resumed_equals_uninterrupted(whole, tmp_path, monkeypatch, more, trial, choice, stop):
    folder, _, expected = whole
    hooks = [BY_HAND, *([dict(type='InterruptHook', after=stop)] if stop is not None else [])]
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        if trial is not None:
            interrupt_trial(patch, trial)
        if choice is not None:
            interrupt_choice(patch, choice)
        runner_of(tmp_path, custom_hooks=hooks, **more).train()
    done = lines_of(ProgressiveRecord(tmp_path).trials)
    assert done == lines_of(expected.trials)[:len(done)]
    assert len(done) == (trial - 1 if trial else 3 * choice if choice else 6 if stop == -4 or stop == 5 else 3)
    resumed = runner_of(tmp_path, resume=True, custom_hooks=[BY_HAND], **more)
    carried_out, calls = TrialRun.__call__, []
    monkeypatch.setattr(TrialRun, '__call__', lambda self, *args: calls.append(1) or carried_out(self, *args))
    resumed.train()
    assert len(calls) == 9 - len(done), 'finished trials are not done again'
    record = ProgressiveRecord(tmp_path)
    assert lines_of(record.trials) == lines_of(expected.trials) and lines_of(record.cycles) == lines_of(expected.cycles)
    last = tmp_path / (f'iter_{2 * EPOCHS}.pth' if more is INSIDE else f'epoch_{EPOCHS}.pth')
    names = ('state_dict', ) if not last.is_file() else ('state_dict', 'optimizer', 'param_schedulers', 'scalars')
    left = content(folder / f'epoch_{EPOCHS}.pth')
    if last.is_file() and more is not INSIDE:
        right = content(last)
        assert {key for key in names if not same(left[key], right[key])} == set()
        assert same(left['info'], right['info'])
    assert same(left['state_dict'], resumed.model.state_dict())
    for cycle in (1, 2, 3):
        name = f'pla/cycle_{cycle}_lowest_loss.pth'
        assert same(read_checkpoint(folder / name)['state_dict'], read_checkpoint(tmp_path / name)['state_dict'])


def test_there_is_a_checkpoint_at_the_beginning_of_every_cycle(tmp_path):
    more = dict(default_hooks__checkpoint__interval=100, default_hooks__checkpoint__max_keep_ckpts=1)
    starts = []

    @HOOKS.register_module(force=True)
    class Starts(Hook):

        def before_train_epoch(self, runner):
            starts.append(sorted(path.name for path in tmp_path.glob('*.pth')))

    runner_of(tmp_path, custom_hooks=[dict(type='Starts')], **more).train()
    assert starts == [['epoch_0.pth']] * 2 + [['epoch_2.pth']] * 2 + [['epoch_4.pth']]
    start = read_checkpoint(tmp_path / 'epoch_4.pth')
    assert (start['meta']['epoch'], start['meta']['iter']) == (4, 8)
    assert start['message_hub']['runtime_info']['progressive']['cycle'] == 2
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_5.pth')  # the hook's, at the end


@pytest.mark.parametrize('interval', [1, 2])
def test_a_start_goes_when_the_next_one_is_written(tmp_path, interval):
    runner_of(tmp_path, default_hooks__checkpoint__interval=interval, default_hooks__checkpoint__max_keep_ckpts=1,
              loop__max_epochs=3, loop__num_trials=1).train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']


def test_what_comes_after_the_resumed_epoch_is_forgotten(whole, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(whole[0], folder)
    expected = [path.name for path in sorted((folder / 'pla').glob('*.pth'))]
    runner = runner_of(folder, resume=True, load_from=str(folder / 'epoch_3.pth'), loop__max_epochs=3)
    runner.train()
    record = ProgressiveRecord(folder)
    # those of the third cycle began where the second one ended, which need not come again
    assert [line['cycle'] for line in record.cycles] == [1, 2] and record.cycles[1]['epoch_end'] == 3
    future = [name for name in expected if read_checkpoint(whole[0] / 'pla' / name)['meta']['epoch'] > 3]
    assert 'cycle_3_lowest_loss.pth' in future and 'cycle_1_lowest_loss.pth' not in future
    aside = sorted(path.name for path in (folder / 'pla').glob(f'*.before_{runner.timestamp}'))
    assert aside == [f'{name}.before_{runner.timestamp}' for name in future]
    log = next((folder / runner.timestamp).glob('*.log')).read_text()
    assert f'{len(future)} files with weights of epochs after 3, where training goes on, were in' in log


@HOOKS.register_module()
class LossOfEpochs(Hook):
    """Puts a loss into the log in place of the computed one, for each epoch."""

    def __init__(self, losses: list) -> None:
        self.losses = losses

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        history = runner.message_hub.get_scalar('train/loss')
        history._log_history[-1] = self.losses[runner.epoch]


@pytest.mark.parametrize('losses, lowest, loss', [
    ([math.nan, 3.0, 2.5, math.nan], 3, 2.5),
    ([math.nan, 3.0, 3.0, 4.0], 2, 3.0),
    ([1.0, math.inf, 0.5, 0.7], 3, 0.5),
])
def test_a_broken_epoch_is_not_the_lowest(tmp_path, losses, lowest, loss):
    runner_of(tmp_path, loop__max_epochs=4, loop__exploit_epochs=4, loop__num_trials=1,
              custom_hooks=[dict(type='LossOfEpochs', losses=losses)]).train()
    cycle, = ProgressiveRecord(tmp_path).cycles
    assert (cycle['lowest_epoch'], cycle['lowest_loss']) == (lowest, loss)
    file = read_checkpoint(tmp_path / 'pla' / 'cycle_1_lowest_loss.pth')
    assert same(file['state_dict'], read_checkpoint(tmp_path / f'epoch_{lowest}.pth')['state_dict'])


@pytest.mark.parametrize('losses, lowest', [
    ([2.0, 3.0, 1.0, 2.5], {2: 2, 3: 3, 4: 3}),  # the file was of the third epoch: the first has none any more
    ([1.0, 3.0, 2.0, 2.5], {2: 1, 3: 1, 4: 1}),  # one that is not of the future stays
])
def test_record_and_file_of_the_lowest_loss_agree_after_going_back(tmp_path, losses, lowest):
    more = dict(custom_hooks=[dict(type='LossOfEpochs', losses=losses)], loop__exploit_epochs=4, loop__num_trials=1)
    runner_of(tmp_path, loop__max_epochs=3, **more).train()
    assert ProgressiveRecord(tmp_path).cycles[0]['lowest_epoch'] == lowest[3]
    for start, epochs in ((2, 2), (2, 3), (3, 4)):
        runner_of(tmp_path, loop__max_epochs=epochs, resume=True, load_from=str(tmp_path / f'epoch_{start}.pth'),
                  **more).train()
        cycle, = ProgressiveRecord(tmp_path).cycles
        meta = read_checkpoint(tmp_path / 'pla' / 'cycle_1_lowest_loss.pth')['meta']
        assert (cycle['lowest_epoch'], cycle['lowest_loss']) == (meta['epoch'], meta['progressive']['loss'])
        assert meta['epoch'] == lowest[epochs]


def test_an_epoch_that_starts_anew_has_no_lowest_loss(tmp_path, monkeypatch):
    """With other batches a checkpoint inside an epoch is resumed at its start: its weights are those of no epoch."""
    more = dict(loop__space={'k': SPACE['k']}, loop__num_trials=1, loop__max_epochs=2, **INSIDE)
    with pytest.raises(Interrupted):
        runner_of(tmp_path / 'a', **more, custom_hooks=[dict(type='InterruptHook', after=3)]).train()
    carried_out, written = ProgressiveLearningLoop._write_lowest, []
    monkeypatch.setattr(ProgressiveLearningLoop, '_write_lowest',
                        lambda loop, *args: written.append(loop._epoch) or carried_out(loop, *args))
    runner = runner_of(tmp_path / 'b', resume=True, load_from=str(tmp_path / 'a' / 'iter_3.pth'), **more, **{
        'train_dataloader__batch_size': 8, 'train_dataloader__sampler__num_pids': 2})
    runner.train()
    assert written == [2]


def test_values_in_force_are_those_of_the_checkpoint(whole, tmp_path):
    folder, _, record = whole
    runner = runner_of(tmp_path, resume=True, load_from=str(folder / 'epoch_3.pth'), loop__max_epochs=3)
    runner.train()
    loss = runner.model.heads['tri'].loss_module
    assert {name: getattr(loss, name) for name in SPACE} == record.cycles[1]['values']


def test_an_earlier_checkpoint_drops_later_trials(whole, tmp_path):
    folder, _, expected = whole
    shutil.copytree(folder, tmp_path / 'copy')
    runner = runner_of(tmp_path / 'copy', resume=True, load_from=str(tmp_path / 'copy' / 'epoch_1.pth'),
                       custom_hooks=[BY_HAND])
    runner.train()
    log = next((tmp_path / 'copy' / runner.timestamp).glob('*.log')).read_text()
    assert '3 trials of' in log and 'dropped and done again' in log
    assert lines_of(ProgressiveRecord(tmp_path / 'copy').trials) == lines_of(expected.trials)


def test_trials_that_began_with_other_weights_do_not_count(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_trial(patch, 3)
        runner_of(tmp_path).train()
    record = ProgressiveRecord(tmp_path)
    assert len(record.trials) == 2
    for line in record.trials:
        line.update(weights='others', objective=-1.0)
    record.add_trials([])
    runner_of(tmp_path, resume=True, loop__max_epochs=2).train()
    trials = ProgressiveRecord(tmp_path).trials
    assert len(trials) == 3 and all(line['weights'] != 'others' and line['objective'] >= 0 for line in trials)


def test_a_new_training_sets_the_old_record_aside(tmp_path):
    for _ in range(2):
        runner = runner_of(tmp_path, loop__max_epochs=1)
        runner.train()
    assert len(ProgressiveRecord(tmp_path).trials) == 3
    assert {path.name for path in (tmp_path / 'pla').glob(f'*.before_{runner.timestamp}')} == {
        f'{name}.before_{runner.timestamp}' for name in ('trials.jsonl', 'cycles.jsonl', 'cycle_1_lowest_loss.pth')}


@pytest.mark.parametrize('more, message', [
    (dict(loop__search=dict(type='BayesianSearch')), "search was .*RandomSearch.* and is .*BayesianSearch"),
    (dict(loop__space={'k': SPACE['k']}), 'space was'),
    (dict(loop__expected_drop=0.2), r'expected_drop was 0\.15 and is 0\.2'),
    (dict(loop__num_trials=4, loop__explore_epochs=3), 'num_trials was 3 and is 4; explore_epochs was 2 and is 3'),
    (dict(loop__exploit_epochs=3), 'exploit_epochs was 2 and is 3'),
    (dict(loop__gp_history='all'), 'gp_history was cycle and is all'),
    (dict(loop__seed=3), 'seed was 0 and is 3'),
])
def test_a_run_that_would_be_steered_otherwise_is_not_resumed(whole, tmp_path, more, message):
    with pytest.raises(CheckpointError, match=message):
        runner_of(tmp_path, resume=True, load_from=str(whole[0] / 'epoch_3.pth'), **more).train()


def test_a_search_of_all_trials_finds_them(tmp_path):
    more = dict(loop__gp_history='all', loop__num_trials=2)
    runner_of(tmp_path / 'a', loop__max_epochs=2, **more).train()
    with pytest.raises(CheckpointError, match=r'b.pla.trials\.jsonl has 0 of the 2 of cycle 1: resume in the work dir'):
        runner_of(tmp_path / 'b', resume=True, load_from=str(tmp_path / 'a' / 'epoch_2.pth'), **more).train()
    runner_of(tmp_path / 'a', resume=True, loop__max_epochs=3, **more).train()
    assert len(ProgressiveRecord(tmp_path / 'a').trials) == 4


def test_a_training_without_trials_is_not_resumed(tmp_path):
    more = options()
    more['train_cfg'] = dict(by_epoch=True, max_epochs=1, val_interval=1)
    toy_runner(tmp_path, **more).train()
    with pytest.raises(CheckpointError, match='was not written by ProgressiveLearningLoop'):
        runner_of(tmp_path, resume=True).train()


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('more, error, message', [
    (dict(num_trials=0), ValueError, 'num_trials .* at least 1, got 0'),
    (dict(explore_epochs=1), ValueError, 'explore_epochs .* at least 2, for the objective compares two halves.*got 1'),
    (dict(exploit_epochs=0), ValueError, 'exploit_epochs .* at least 1, got 0'),
    (dict(max_epochs=0), ValueError, 'max_epochs .* at least 1'),
    (dict(num_trials=2.5), ValueError, 'num_trials .* whole number'),
    (dict(expected_drop=15), ValueError, 'expected_drop .* from 0 to 1, got 15'),
    (dict(expected_drop=math.nan), ValueError, 'expected_drop'),
    (dict(gp_history='every'), ValueError, "'cycle' or 'all', got 'every'"),
    (dict(space=dict(k=dict(target='heads.tri.loss_module.q', low=1, high=2))), ConfigError,
     'heads.tri.loss_module.q, .*has no .q.*loss_weight'),
    (dict(space=dict(k=dict(SPACE['k'], high=5))), ValueError, 'k is searched up to k=5, .*P=3 .*K=4 .*4 positives'),
    (dict(space=dict(p=dict(SPACE['p'], high=9))), ValueError, 'p is searched up to p=9, .*P=3 .*K=4 .*8 negatives'),
    (dict(space=dict(k=dict(SPACE['k'], low=3, high=1))), ValueError, 'low of .* must be below high'),
])
def test_bad_input(tmp_path, more, error, message):
    with pytest.raises(error, match=message):
        runner_of(tmp_path, **{f'loop__{key}': value for key, value in more.items()}).train()
    assert not (tmp_path / 'pla').exists()


def test_an_anchor_that_is_not_its_own_positive(tmp_path):
    more = dict(model__heads__tri__loss__include_self=False)
    with pytest.raises(ValueError, match='k=4.* 3 positives .include_self=False.*k be at most 3'):
        runner_of(tmp_path, **more).train()


def test_losses_must_be_noted_somewhere(tmp_path):
    with pytest.raises(ValueError, match='RuntimeInfoHook'):
        runner_of(tmp_path, default_hooks__runtime_info=None).train()


def test_a_rank_that_a_batch_does_not_have(tmp_path):
    with pytest.raises(ConfigError, match='k=9 is beyond the positives'):
        runner_of(tmp_path, model__heads__tri__loss__k=9, loop__space={'p': SPACE['p']}).train()


def test_what_several_processes_cannot_do(tmp_path):
    runner = runner_of(tmp_path)
    runner._train_loop = loop = runner.build_train_loop(runner._train_loop)
    sampler = loop.dataloader.batch_sampler.sampler
    runner._world_size = 2
    loop._check_processes()
    assert '3 trials in 2 processes' in (log := next(tmp_path.glob('*/*.log')).read_text())
    assert 'env_cfg.dist_cfg.timeout' in log
    runner.model.norm = torch.nn.SyncBatchNorm(3)
    with pytest.raises(ValueError, match=r'1 layers compute over all processes \(norm, .*parallel_trials=False'):
        loop._check_processes()
    loop.parallel_trials = False
    loop._check_processes()
    loop.parallel_trials = True
    del sampler.rank
    with pytest.raises(ValueError, match='PKSampler cannot draw for a single process.*parallel_trials=False'):
        loop._check_processes()


def test_several_optimizers(tmp_path):
    runner = runner_of(tmp_path)
    runner._train_loop = loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = OptimWrapperDict(a=OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=1.0)))
    with pytest.raises(ConfigError, match='one optimizer, got OptimWrapperDict'):
        loop.run()


def test_schedules_that_begin_anew_elsewhere(tmp_path):
    schedules = [dict(type='HoldThenDecayLR', hold=1, decay_end=2, period=3),
                 dict(type='HoldThenDecayLR', hold=1, decay_end=2, period=2, convert_to_iter_based=True),
                 dict(type='HoldThenSwitchMomentum', hold=1, value=0.5, period=2),
                 dict(type='HoldThenSwitchMomentum', hold=1, value=0.5, period=5, by_epoch=False)]
    runner_of(tmp_path, param_scheduler=schedules, loop__max_epochs=1, loop__num_trials=1).train()
    lines = [line for line in next(tmp_path.glob('*/*.log')).read_text().splitlines() if 'begins anew after' in line]
    assert len(lines) == 2 and all('WARNING' in line and 'exploit_epochs=2' in line for line in lines)
    assert 'HoldThenDecayLR begins anew after period=3 epochs, and an exploitation has 2' in lines[0]
    assert 'HoldThenSwitchMomentum begins anew after period=5 iterations, and an exploitation has 4' in lines[1]


@MODELS.register_module()
class FragileHead(MODELS.get('TripletHead')):
    """Its loss is NaN where the margin of its loss is large."""

    def loss_by_feat(self, outputs, labels):
        losses = super().loss_by_feat(outputs, labels)
        if self.loss_module.margin > 0.25:
            losses['loss_triplet'] = losses['loss_triplet'] * math.nan
        return losses


def test_a_loss_that_breaks_down_in_a_trial(tmp_path):
    points = [dict(margin=.3), dict(margin=.1), dict(margin=.2)]
    more = dict(model__heads__tri__type='FragileHead', loop__search=dict(type='GridSearch', points=points),
                loop__space=dict(margin=SPACE['margin']), loop__max_epochs=2)
    runner = runner_of(tmp_path, **more)
    runner.train()
    record = ProgressiveRecord(tmp_path)
    bad, *good = record.trials
    assert bad['objective'] == math.inf and len(bad['losses']) == 1 and math.isnan(bad['losses'][0])
    assert 'NaN or infinite in epoch 1' in bad['note']
    assert all(math.isfinite(line['objective']) and line['note'] == '' for line in good)
    assert record.cycles[0]['values'] in [line['values'] for line in good] and runner.epoch == 2
    log = next((tmp_path / runner.timestamp).glob('*.log')).read_text()
    assert 'WARNING' in log and 'trial 1 of 3' in log
    assert all(bool(torch.isfinite(value).all()) for value in runner.model.state_dict().values())


def test_an_end_before_the_first_cycle_is_over(tmp_path):
    runner = runner_of(tmp_path, loop__max_epochs=1, loop__exploit_epochs=300)
    runner.train()
    assert runner.epoch == 1 and ProgressiveRecord(tmp_path).cycles[0]['epoch_end'] == 1
