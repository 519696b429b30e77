"""Phases in short real trainings."""

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from mmreid.engine.hooks import PhaseHook
from mmreid.registry import HOOKS, MODELS
from tests.test_engine.toy import toy_runner


@HOOKS.register_module()
class WeightWitness(Hook):
    """Copy of all parameters and buffers after every iteration."""
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.seen = []

    def before_train(self, runner):
        self.seen.append(self.copy(runner))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(self.copy(runner))

    @staticmethod
    def copy(runner):
        return {key: value.clone() for key, value in runner.model.state_dict().items()}


def changed(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}


def train(tmp_path, phases, **hook):
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='PhaseHook', phases=phases, **hook),
                                                dict(type='WeightWitness')])
    runner.train()
    seen = next(hook for hook in runner.hooks if isinstance(hook, WeightWitness)).seen
    return runner, [changed(a, b) for a, b in zip(seen[:-1], seen[1:], strict=True)]


def test_frozen_modules_keep_parameters_and_statistics(tmp_path):
    phases = [dict(name='new layers', frozen=('backbone', 'neck.cells')), dict(name='everything', begin=1)]
    runner, steps = train(tmp_path, phases)
    length = len(runner.train_dataloader)
    assert len(steps) == 2 * length and length > 1
    for step in steps[:length]:
        assert not {key for key in step if key.startswith(('backbone.', 'neck.cells.'))}
        assert {'neck.reduction.0.weight', 'heads.id.classifier.weight'} <= step
    names = set(runner.model.state_dict())
    assert {key for key in names if key.startswith(('backbone.', 'neck.cells.'))} <= steps[length]
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_what_is_frozen_by_itself_stays_so(tmp_path):
    phases = [dict(frozen=('backbone', )), dict(begin=3)]
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='PhaseHook', phases=phases, by_epoch=False),
                                                dict(type='WeightWitness')])
    stem = runner.model.backbone.stem
    stem.requires_grad_(False)
    runner.train()
    witness = next(hook for hook in runner.hooks if isinstance(hook, WeightWitness))
    steps = [changed(a, b) for a, b in zip(witness.seen[:-1], witness.seen[1:], strict=True)]
    own = {f'backbone.stem.{name}' for name, _ in stem.named_parameters()}
    assert not own & set().union(*steps)
    assert 'backbone.stage.0.weight' not in set().union(*steps[:3]) and 'backbone.stage.0.weight' in steps[3]
    assert not any(parameter.requires_grad for parameter in stem.parameters())


def test_phases_in_cycles():
    hook = PhaseHook([dict(name='a'), dict(name='b', begin=2)], cycle=5)
    assert ''.join(hook.phase_at(epoch, 0).name for epoch in range(12)) == 'aabbbaabbbaa'
    by_iteration = PhaseHook([dict(name='a'), dict(name='b', begin=3)], by_epoch=False)
    assert ''.join(by_iteration.phase_at(0, step).name for step in range(5)) == 'aaabb'


def test_a_head_can_be_off(tmp_path):
    extra = dict(type='TripletHead')
    phases = [dict(heads_off=('triplet', )), dict(begin=1)]
    runner = toy_runner(tmp_path, model__heads__triplet=extra,
                        custom_hooks=[dict(type='PhaseHook', phases=phases), dict(type='LossNames')])
    runner.train()
    names = next(hook for hook in runner.hooks if isinstance(hook, LossNames)).seen
    assert 'id.loss_ce' in names[0] and 'triplet.loss_triplet' not in names[0]
    assert 'triplet.loss_triplet' in names[1]


@HOOKS.register_module()
class LossNames(Hook):
    """Names of the values of the last iteration of each epoch."""

    def __init__(self) -> None:
        self.seen, self.last = [], set()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.last = set(outputs)

    def after_train_epoch(self, runner):
        self.seen.append(self.last)


def test_labels_of_a_kind_can_be_left_out(tmp_path):
    """Every second image says that its label is a guess; only the others are seen by the head."""
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='Guesses'), dict(type='PhaseHook', phases=[
        dict(labels=('true', )), dict(begin=1)])])
    runner.train()
    guesses = next(hook for hook in runner.hooks if isinstance(hook, Guesses))
    first = [labels for epoch, labels in guesses.seen if epoch == 0]
    second = [labels for epoch, labels in guesses.seen if epoch == 1]
    assert first and all(label == -1 for labels in first for label in labels[::2])
    assert all(label >= 0 for labels in first for label in labels[1::2])
    assert all(label >= 0 for labels in second for label in labels)


@HOOKS.register_module()
class Guesses(Hook):
    """Mark every second sample before the phase hook, read the labels after the step."""
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for sample in data_batch['data_samples'][::2]:
            sample.set_metainfo(dict(label_source='pseudo'))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append((runner.epoch, [sample.label for sample in data_batch['data_samples']]))


def test_a_resumed_training_is_in_its_phase(tmp_path):
    phases = [dict(frozen=('backbone', )), dict(begin=5, frozen=('neck', )), dict(begin=7)]
    checkpoint = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1)
    hook = dict(custom_hooks=[dict(type='PhaseHook', phases=phases, by_epoch=False)])
    whole = toy_runner(tmp_path / 'whole', **hook, **checkpoint)
    whole.train()
    again = toy_runner(tmp_path / 'again', resume=True, load_from=str(tmp_path / 'whole' / 'iter_6.pth'), **hook)
    again.train()
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key


@pytest.mark.parametrize('phases, message', [
    ([], 'at least one phase'),
    ([dict(begin=1)], 'must begin at 0'),
    ([dict(), dict(begin=3), dict(begin=2)], 'increasing positions'),
    ([dict(), dict(name='second')], 'phase 1 needs a begin'),
    ([dict(freeze=('backbone', ))], "unknown fields \\['freeze'\\]"),
    ([dict(frozen='backbone')], "the string 'backbone'"),
    ([dict(labels=('guessed', ))], 'must be among'),
    ([dict(trainable='heads')], "the string 'heads'"),
    ([dict(frozen=('a', ), trainable=('b', ))], 'phase 0 has frozen and trainable'),
    ([dict(heads_off=('a', ), heads_on=('b', ))], 'phase 0 has heads_off and heads_on'),
])
def test_phases_that_make_no_sense(phases, message):
    with pytest.raises(ValueError, match=message):
        PhaseHook(phases)


@pytest.mark.parametrize('phase, message', [
    (dict(frozen=('backbon', )), 'there are .*backbone'),
    (dict(frozen=('backbone.steem', )), 'backbone.stem'),
    (dict(heads_off=('triplet', )), "the model has \\['id'\\]"),
    (dict(heads_off=('id', )), 'all heads'),
    (dict(frozen=('backbone', 'neck', 'heads')), 'nothing is left'),
    (dict(frozen=('*', )), r"freezes \['\*'\]: nothing is left"),
    (dict(frozen=('backbone', 'heads.ver*')), r"freezes 'heads\.ver\*', .* there are heads\.id$"),
    (dict(frozen=('nick*', )), 'there are data_preprocessor, backbone, neck, heads$'),
    (dict(trainable=('heads.ids*', )), r"trains 'heads\.ids\*', .* there are heads\.id$"),
    (dict(trainable=()), r'trains \[\]: nothing is left'),
    (dict(heads_on=('ver*', )), r"keeps the heads \['ver\*'\]; the model has \['id'\]"),
    (dict(heads_on=()), 'all heads'),
])
def test_phases_that_do_not_fit_the_model(tmp_path, phase, message):
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='PhaseHook', phases=[phase])])
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_a_cycle_shorter_than_its_phases():
    with pytest.raises(ValueError, match='greater than the begin of the last phase, 3, got 3'):
        PhaseHook([dict(), dict(begin=3)], cycle=3)


@pytest.mark.parametrize('phase', [
    dict(frozen=('backb*', 'neck.cells', 'neck.re*')), dict(trainable=('heads.*', 'neck.fusions')),
    dict(trainable=('heads', 'neck.fus*'))])
def test_patterns_and_the_complement(tmp_path, phase):
    """The same freezing said in three ways, against the prefixes of the names of what may change."""
    runner, steps = train(tmp_path, [phase, dict(begin=1)])
    length, names = len(runner.train_dataloader), set(runner.model.state_dict())
    free = {key for key in names if key.startswith(('heads.', 'neck.fusions.'))}
    assert any('running_mean' in key for key in names - free) and 0 < len(free) < len(names)
    for step in steps[:length]:
        assert step <= free and {'heads.id.classifier.weight', 'heads.id.classifier.bias'} <= step
    assert names - free <= set().union(*steps[length:])
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


@MODELS.register_module()
class ScaledNeck(nn.Module):
    """A layer, and a parameter that belongs to no layer."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(16))
        self.first, self.second = nn.Linear(8, 16), nn.BatchNorm1d(16)

    def forward(self, maps):
        return dict(feat=self.second(self.first(maps[-1].mean((2, 3)))) * self.scale)


def test_what_holds_a_trained_module_keeps_its_own_parameters(tmp_path):
    runner = toy_runner(tmp_path, model__neck=dict(_delete_=True, type='ScaledNeck'),
                        custom_hooks=[dict(type='PhaseHook', phases=[dict(trainable=('neck.first', 'heads'))]),
                                      dict(type='WeightWitness')])
    runner.train()
    seen = next(hook for hook in runner.hooks if isinstance(hook, WeightWitness)).seen
    moved = changed(seen[0], seen[-1])
    assert {key for key in moved if key.startswith('neck.')} == {'neck.first.weight', 'neck.first.bias'}
    assert not any(key.startswith('backbone.') for key in moved)


def test_heads_that_are_on(tmp_path):
    heads = dict(model__heads__triplet=dict(type='TripletHead'), model__heads__other=dict(type='TripletHead'))
    runner = toy_runner(tmp_path, **heads, custom_hooks=[
        dict(type='PhaseHook', phases=[dict(heads_on=('id*', )), dict(begin=1, heads_off=('o*', ))]),
        dict(type='LossNames')])
    runner.train()
    names = next(hook for hook in runner.hooks if isinstance(hook, LossNames)).seen
    losses = [{key for key in step if '.loss' in key} for step in names]
    assert losses == [{'id.loss_ce'}, {'id.loss_ce', 'triplet.loss_triplet'}]


ITERATIONS = dict(train_cfg=dict(_delete_=True, by_epoch=False, max_iters=4, val_interval=100))


@pytest.mark.parametrize('hook, options, message', [
    (dict(by_epoch=True), {}, r'begins at epoch 4 .*by_epoch=True.*max_epochs=2'),
    (dict(by_epoch=False), ITERATIONS, r'begins at iteration 4 .*by_epoch=False.*max_iters=4'),
    (dict(by_epoch=False, cycle=6), ITERATIONS, r'begins at iteration 4 .*max_iters=4'),
    (dict(by_epoch=True), ITERATIONS, r'begins at epoch 4 \(by_epoch=True\).*max_iters=4.*set by_epoch=False'),
    (dict(by_epoch=True, cycle=6), ITERATIONS, '.*set by_epoch=False'),
])
def test_a_last_phase_that_is_never_reached(tmp_path, hook, options, message):
    phases = [dict(frozen=('backbone', )), dict(name='everything', begin=4)]
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='PhaseHook', phases=phases, **hook)], **options)
    with pytest.raises(ValueError, match='phase "everything" ' + message):
        runner.train()


@pytest.mark.parametrize('hook, options', [
    (dict(by_epoch=False, phases=[dict(frozen=('backbone', )), dict(begin=3)]), ITERATIONS),
    (dict(phases=[dict(frozen=('backbone', ))]), ITERATIONS),  # a single phase is that of every position
    (dict(by_epoch=False, phases=[dict(frozen=('backbone', )), dict(begin=7)]), {}),  # 2 epochs of 4 batches
])
def test_phases_that_are_reached(tmp_path, hook, options):
    toy_runner(tmp_path, custom_hooks=[dict(type='PhaseHook', **hook)], **options).train()
