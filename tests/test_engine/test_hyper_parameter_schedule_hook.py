"""Hyper-parameters by hand: values over time, in short real trainings, over a resume."""

import pytest
import torch
from mmengine.hooks import Hook

from mmreid.engine.hooks import HyperParameterScheduleHook
from mmreid.registry import HOOKS
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
    _, scheduled = train(tmp_path / 'b', 1, [dict(type='HyperParameterScheduleHook', schedules=STEPS)], **{
        'train_cfg__val_begin': 9})
    assert scheduled.losses[0] == pytest.approx(2 * plain.losses[0], rel=1e-6)


def test_a_resumed_training_has_the_values_of_an_uninterrupted_one(tmp_path):
    hooks = [dict(type='HyperParameterScheduleHook', schedules=STEPS)]
    whole, seen = train(tmp_path / 'whole', 4, hooks)
    train(tmp_path / 'parts', 2, hooks)
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
    with pytest.raises(AttributeError, match='heads.id.loss_module.k, the target of k, is not there.*loss_weight'):
        train(tmp_path, 2, [dict(type='HyperParameterScheduleHook', schedules=schedules)])


def test_epochs_in_a_training_by_iterations(tmp_path):
    runner = toy_runner(tmp_path, train_cfg=dict(_delete_=True, by_epoch=False, max_iters=2, val_interval=9),
                        param_scheduler=[], custom_hooks=[dict(type='HyperParameterScheduleHook', schedules=STEPS)])
    with pytest.raises(ValueError, match='set by_epoch=False and count in iterations'):
        runner.train()


def test_a_search_of_the_same_attribute(tmp_path):
    hooks = [dict(type='HyperParameterScheduleHook', schedules=STEPS)]
    loop = dict(_delete_=True, type='ProgressiveLearningLoop', max_epochs=1, num_trials=1, explore_epochs=2,
                exploit_epochs=1, search=dict(type='RandomSearch'),
                space=dict(weight=dict(target=WEIGHT, low=0.5, high=2.0)))
    runner = toy_runner(tmp_path, train_cfg=loop, custom_hooks=hooks)
    with pytest.raises(ValueError, match=f'{WEIGHT}: set by HyperParameterScheduleHook and searched by Progressive'):
        runner.train()
