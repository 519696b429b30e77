"""Hyper-parameters by hand: values over time, in short real trainings, over a resume."""

import pytest
import torch
from mmengine.hooks import Hook

from mmreid.engine.hooks import HyperParameterScheduleHook
from mmreid.registry import HOOKS
from mmreid.utils.config import ConfigError
from tests.test_engine.test_progressive.toy import options
from tests.test_engine.test_resume import Interrupted
from tests.test_engine.toy import toy_runner

WEIGHT = 'heads.id.loss_module.loss_weight'
#: One number for each of the epochs of a training.
STEPS = dict(weight=dict(target=WEIGHT, values=[(0, 2.0), (1, 0.5), (3, 1.0)]))


@HOOKS.register_module()
class ScheduleWitness(Hook):
    """The weight of the loss, and the loss, of every batch."""
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.weights, self.losses = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(runner.model.heads.id.loss_module.loss_weight)
        self.losses.append(outputs['loss'].item())


def train(work_dir, epochs, hooks, **options):
    runner = toy_runner(work_dir, train_cfg__max_epochs=epochs, train_cfg__val_interval=100,
                        custom_hooks=[*hooks, dict(type='ScheduleWitness')], **options)
    runner.train()
    return runner, next(hook for hook in runner.hooks if isinstance(hook, ScheduleWitness))


def values(position, period=None, by_epoch=True, **schedule):
    hook = HyperParameterScheduleHook(dict(x=dict(target='a.b', **schedule)), by_epoch, period)
    return hook.values_at(position if by_epoch else 0, 0 if by_epoch else position)['x']


def test_steps():
    assert [values(e, values=[(0, 8), (2, 4), (3, 1)]) for e in range(6)] == [8, 8, 4, 1, 1, 1]
    assert [values(e, by_epoch=False, values=[(0, 8), (2, 1)]) for e in range(4)] == [8, 8, 1, 1]


def test_lines():
    found = [values(e, shape='linear', values=[(0, 0.0), (4, 1.0), (6, 0.5)]) for e in range(9)]
    assert found == pytest.approx([0, .25, .5, .75, 1, .75, .5, .5, .5])


def test_lines_of_whole_numbers():
    """From 8 down to 1 in 14 epochs, half a step an epoch; halves up."""
    found = [values(e, shape='linear', values=[(0, 8), (14, 1)]) for e in range(16)]
    assert found == [8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1] and all(type(value) is int for value in found)
    assert values(1, shape='linear', integer=False, values=[(0, 8), (14, 1)]) == 7.5


def test_periods():
    found = [values(e, period=3, values=[(0, 8), (1, 4)]) for e in range(7)]
    assert found == [8, 4, 4, 8, 4, 4, 8]


def test_every_batch_of_an_epoch_has_its_value(tmp_path):
    runner, witness = train(tmp_path, 4, [dict(type='HyperParameterScheduleHook', schedules=STEPS)])
    length = len(runner.train_dataloader)
    assert length > 1
    assert witness.weights == [2.0] * length + [0.5] * length + [0.5] * length + [1.0] * length


def test_the_loss_is_that_of_the_value(tmp_path):
    """The first batch of the same training has twice the loss."""
    _, plain = train(tmp_path / 'a', 1, [])
    twice = dict(weight=dict(target=WEIGHT, values=[(0, 2.0), (1, 1.0)]))
    _, scheduled = train(tmp_path / 'b', 1, [dict(type='HyperParameterScheduleHook', schedules=twice, by_epoch=False)])
    assert scheduled.losses[0] == pytest.approx(2 * plain.losses[0], rel=1e-6)


def test_a_resumed_training_has_the_values_of_an_uninterrupted_one(tmp_path):
    hooks = [dict(type='HyperParameterScheduleHook', schedules=STEPS)]
    whole, seen = train(tmp_path / 'whole', 4, hooks)
    with pytest.raises(Interrupted):
        train(tmp_path / 'parts', 4, [*hooks, dict(type='InterruptHook', after=9)])
    second, rest = train(tmp_path / 'parts', 4, hooks, resume=True)
    assert rest.weights == seen.weights[len(seen.weights) // 2:]
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key]), key


def test_by_iterations(tmp_path):
    schedules = dict(weight=dict(target=WEIGHT, values=[(0, 1.0), (3, 3.0)], shape='linear'))
    _, witness = train(tmp_path, 1, [dict(type='HyperParameterScheduleHook', schedules=schedules, by_epoch=False)])
    assert witness.weights[:5] == pytest.approx([1, 5 / 3, 7 / 3, 3, 3][:len(witness.weights)]) and witness.weights[3:]


@pytest.mark.parametrize('schedules, message', [
    ({}, 'at least one schedule'),
    (dict(k=dict(target='a.b')), r"needs target and values.*missing: \['values'\]"),
    (dict(k=dict(target='a.b', values=[(0, 1), (1, 2)], form='step')), r"unknown: \['form'\]"),
    (dict(k=dict(target='a.b', values=[(0, 1), (1, 2)], shape='cosine')), "one of .'step', 'linear'.*got 'cosine'"),
    (dict(k=dict(target='a.b', values=[(1, 1), (2, 2)])), r'must begin at 0 and increase, got \[1, 2\]'),
    (dict(k=dict(target='a.b', values=[(0, 1), (5, 2), (5, 3)])), r'increase, got \[0, 5, 5\]'),
    (dict(k=dict(target='a.b', values=[(0, 1), (2, )])), 'pairs of a position and a value'),
    (dict(k=dict(target='a.b', values=[(0, 3), (2, 1.5), (4, 1)], integer=True)), 'whole .* integer=True, got 1.5'),
    (dict(k=dict(target='a.b', values=[(0, 3), (2, '1')])), "value of schedule 'k' must be a finite number, got '1'"),
    (dict(k=dict(target='a.b', values=[(0, 3), (2, float('nan'))])), 'finite number, got nan'),
    (dict(k=dict(target='a.b', values=[(0, 3), (2, True)])), 'finite number, got True'),
    (dict(k=dict(target='a.b', values=[(0, 3), (1.5, 2)])), "position of schedule 'k' must be a whole number, got 1.5"),
    (dict(k=dict(target='a.b', values=[(0, 4), (2, 4)])), 'always has the value 4: set it in the model config'),
    (dict(k=dict(target='a.b', values=[(0, 4), (2, 1)]), m=dict(target='a.b', values=[(0, 1), (2, 2)])), 'a.b')])
def test_bad_schedules(schedules, message):
    with pytest.raises(ValueError, match=message):
        HyperParameterScheduleHook(schedules)


def test_a_value_that_is_never_reached():
    with pytest.raises(ValueError, match='from 4 on and would begin anew before it, after period=4'):
        HyperParameterScheduleHook(dict(k=dict(target='a.b', values=[(0, 4), (4, 1)])), period=4)


def test_an_attribute_that_is_not_there(tmp_path):
    schedules = dict(k=dict(target='heads.id.loss_module.k', values=[(0, 4), (1, 1)]))
    with pytest.raises(ConfigError, match='heads.id.loss_module.k, the target of k, is not there.*loss_weight'):
        train(tmp_path, 2, [dict(type='HyperParameterScheduleHook', schedules=schedules)])


def test_epochs_in_a_training_by_iterations(tmp_path):
    runner = toy_runner(tmp_path, train_cfg=dict(_delete_=True, by_epoch=False, max_iters=2, val_interval=9),
                        param_scheduler=[], custom_hooks=[dict(type='HyperParameterScheduleHook', schedules=STEPS)])
    with pytest.raises(ConfigError, match="weight. begins at epoch 3 .*set by_epoch=False of HyperParameterSchedule"):
        runner.train()


K, P, MARGIN = (f'heads.tri.loss_module.{name}' for name in ('k', 'p', 'margin'))


@pytest.mark.parametrize('schedules, hook, message', [
    (dict(p=dict(target=P, values=[(0, 1), (2, 9)])), {}, 'p is scheduled up to p=9, .*P=3 .*K=4 .*at most 8'),
    (dict(k=dict(target=K, values=[(0, 4), (2, 0)])), {}, "from epoch 2 on, {'k': 0}: k must be an integer"),
    (dict(k=dict(target=K, values=[(0, 4), (3, 1)], shape='linear', integer=False)), {},
     "from epoch 0 on, {'k': 4.0}.*integer"),
    (dict(k=dict(target=K, values=[(0, 4), (2, 1.5)])), dict(by_epoch=False), "from iteration 0 on, {'k': 4}"),
    (dict(k=dict(target=K, values=[(0, 3), (4, 1)])), {}, "value 1 of schedule 'k' begins at epoch 4 .*max_epochs=4"),
    (dict(m=dict(target=MARGIN, values=[(0, 0), (8, 1)])), dict(by_epoch=False), 'begins at iteration 8 .*max_iters=8'),
])
def test_what_the_model_and_the_training_do_not_allow(tmp_path, schedules, hook, message):
    more = options(custom_hooks=[dict(type='HyperParameterScheduleHook', schedules=schedules, **hook)])
    more['train_cfg'] = dict(by_epoch=True, max_epochs=4, val_interval=9)
    runner = toy_runner(tmp_path, **more)
    with pytest.raises(ConfigError, match=message):
        runner.train()
    assert runner.iter == 0 and runner.model.heads['tri'].loss_module.k == 3


def test_trying_the_values_leaves_the_model_as_it_was(tmp_path):
    more = options(custom_hooks=[dict(type='HyperParameterScheduleHook', schedules=dict(
        k=dict(target=K, values=[(0, 4), (1, 2)]), margin=dict(target=MARGIN, values=[(0, 2.0), (1, 1.0)])))])
    more['train_cfg'] = dict(by_epoch=True, max_epochs=2, val_interval=9)
    runner = toy_runner(tmp_path, **more)
    hook = next(hook for hook in runner.hooks if isinstance(hook, HyperParameterScheduleHook))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    loss = runner.model.heads['tri'].loss_module
    hook.before_train(runner)
    assert (loss.k, loss.margin) == (3, 0.5)
    hook.before_train_iter(runner, 0)
    assert (loss.k, loss.margin) == (4, 2.0)


def test_a_line_of_log_for_each_pair(tmp_path):
    schedules = dict(weight=dict(target=WEIGHT, values=[(0, 1.0), (5, 3.0)], shape='linear'))
    runner, _ = train(tmp_path, 2, [dict(type='HyperParameterScheduleHook', schedules=schedules, by_epoch=False)],
                      log_level='INFO')
    assert runner.iter > 6
    log = next(tmp_path.glob('*/*.log')).read_text().splitlines()
    lines = [line for line in log if 'Hyper-parameters from' in line]
    assert len(lines) == 2 and 'iteration 1: weight 1' in lines[0] and 'iteration 6: weight 3' in lines[1]


def test_a_search_of_the_same_attribute(tmp_path):
    hooks = [dict(type='HyperParameterScheduleHook', schedules=STEPS)]
    loop = dict(_delete_=True, type='ProgressiveLearningLoop', max_epochs=1, num_trials=1, explore_epochs=2,
                exploit_epochs=1, search=dict(type='RandomSearch'),
                space=dict(weight=dict(target=WEIGHT, low=0.5, high=2.0)))
    runner = toy_runner(tmp_path, train_cfg=loop, custom_hooks=hooks)
    with pytest.raises(ValueError, match=f'{WEIGHT}: set by HyperParameterScheduleHook and searched by Progressive'):
        runner.train()
