"""Algorithm 1: explore, go back, choose, exploit; and go on after an interruption."""

import json
import math
import random
import shutil

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmreid.engine.progressive.record import ProgressiveRecord
from mmreid.engine.progressive.trial import TrialRun
from mmreid.registry import HOOKS, MODELS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from tests.test_engine.test_progressive.toy import SPACE, Calls, Interrupted, content, lines_of, options, runner_of
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
    runner = runner_of(folder, custom_hooks=[dict(type='Calls')])
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
    hooks = [dict(type='HandSteered', chosen=[line['values'] for line in record.cycles]), dict(type='Calls')]
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


def test_a_trial_by_hand(whole, tmp_path):
    """The second trial of the second cycle, by a plain loop over the checkpoint: initial rate, moments as they are."""
    folder, runner, record = whole
    line = record.trials[4]
    other = runner_of(tmp_path)
    loader = other.build_dataloader(other._train_dataloader, seed=0)
    checkpoint = read_checkpoint(folder / 'epoch_2.pth')
    model = other.model
    model.load_state_dict(checkpoint['state_dict'])
    sgd = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    sgd.load_state_dict({key: checkpoint['optimizer'][key] for key in ('state', 'param_groups')})
    assert sgd.param_groups[0]['lr'] < 0.05 and sgd.param_groups[0]['momentum'] < 0.9  # which schedules have changed
    sgd.param_groups[0].update(lr=0.05, momentum=0.9)
    for name, value in line['values'].items():
        setattr(model.heads['tri'].loss_module, name, value)
    seed = np.random.SeedSequence([0x9A7, 0, 2, 0]).generate_state(1).item()
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    model.train()
    found = []
    for epoch in (1_000_002, 1_000_003):
        loader.batch_sampler.sampler.set_epoch(epoch)
        losses = []
        for cell in (module for module in model.modules() if hasattr(module, 'reset_state')):
            cell.reset_state()
        for batch in loader:
            data = model.data_preprocessor(batch, True)
            values = model.loss(**data)
            total = sum(value.mean() for key, value in values.items() if 'loss' in key)
            sgd.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            sgd.step()
            losses.append(total.item())
        found.append(np.mean(losses))
    assert found == pytest.approx(line['losses'], rel=1e-6)


def test_trials_of_a_cycle_differ_by_their_values_alone(tmp_path):
    search = dict(type='GridSearch', points=[dict(k=2, p=3), dict(k=1, p=1)])
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


@pytest.mark.parametrize('more, trial, choice, stop', [
    (dict(), 1, None, None),
    (dict(), 3, None, None),
    (dict(), 5, None, None),
    (dict(), None, 2, None),
    (dict(), None, None, -1),
    (dict(), None, None, -2),
    (SELDOM, None, None, -4),
    (SELDOM, 8, None, None),
    (INSIDE, None, None, 5),
    (INSIDE, None, None, 4),
    (INSIDE, None, None, 3),
], ids=['first trial', 'third trial', 'trial of the second cycle', 'before the choice', 'in the middle of a cycle',
        'at its end', 'seldom written: end', 'seldom written: trial', 'inside an epoch', 'last batch of a cycle',
        'next to last batch'])
def test_resumed_equals_uninterrupted(whole, tmp_path, monkeypatch, more, trial, choice, stop):
    folder, _, expected = whole
    hooks = [dict(type='InterruptHook', after=stop)] if stop is not None else []
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        if trial is not None:
            interrupt_trial(patch, trial)
        if choice is not None:
            interrupt_choice(patch, choice)
        runner_of(tmp_path, custom_hooks=hooks, **more).train()
    done = lines_of(ProgressiveRecord(tmp_path).trials)
    assert done == lines_of(expected.trials)[:len(done)]
    assert len(done) == (trial - 1 if trial else 3 * choice if choice else 6 if stop == -4 or stop == 5 else 3)
    resumed = runner_of(tmp_path, resume=True, **more)
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


def test_values_in_force_are_those_of_the_checkpoint(whole, tmp_path):
    folder, _, record = whole
    runner = runner_of(tmp_path, resume=True, load_from=str(folder / 'epoch_3.pth'), loop__max_epochs=3)
    runner.train()
    loss = runner.model.heads['tri'].loss_module
    assert {name: getattr(loss, name) for name in SPACE} == record.cycles[1]['values']


def test_an_earlier_checkpoint_drops_later_trials(whole, tmp_path):
    folder, _, expected = whole
    shutil.copytree(folder, tmp_path / 'copy')
    runner = runner_of(tmp_path / 'copy', resume=True, load_from=str(tmp_path / 'copy' / 'epoch_1.pth'))
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
    (dict(space=dict(k=dict(target='heads.tri.loss_module.q', low=1, high=2))), AttributeError,
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
    with pytest.raises(ValueError, match='k=4.* 3 positives .include_self=False.* to at most 3'):
        runner_of(tmp_path, **more).train()


def test_losses_must_be_noted_somewhere(tmp_path):
    with pytest.raises(ValueError, match='RuntimeInfoHook'):
        runner_of(tmp_path, default_hooks__runtime_info=None).train()


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
