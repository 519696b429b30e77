"""Schedules that hold and begin anew: against Eq. 10 worked out here, in real trainings, over a resume."""

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmreid.registry import PARAM_SCHEDULERS, RUNNERS
from tests.test_engine.toy import toy_config


def optimizer_of(kind='Adam', groups=(3e-4, ), **options):
    parameters = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=lr) for lr in groups]
    return OptimWrapper(getattr(torch.optim, kind)(parameters, **options))


def run(scheduler, optimizer, steps, read):
    found = [read(optimizer)]
    for _ in range(steps):
        scheduler.step()
        found.append(read(optimizer))
    return found


def rate(optimizer):
    return optimizer.param_groups[0]['lr']


def betas(optimizer):
    return tuple(optimizer.param_groups[0]['betas'])


def built(optimizer, **cfg):
    return PARAM_SCHEDULERS.build(dict(cfg, optimizer=optimizer))


def test_learning_rate_of_eq_10_over_ten_cycles():
    optimizer = optimizer_of()
    scheduler = built(optimizer, type='HoldThenDecayLR', hold=150, decay_end=300, period=300)
    found = run(scheduler, optimizer, 2999, rate)
    assert len(found) == 3000
    for epoch, value in enumerate(found):
        e = epoch % 300
        expected = 3e-4 if e <= 150 else 3e-4 * 0.001**((e - 150) / (300 - 150))
        assert value == pytest.approx(expected, rel=1e-12), epoch
    # By hand: half of the decay is a thousandth's root, and the next cycle begins where the first did.
    assert found[225] == pytest.approx(3e-4 * 0.0316227766016838) and found[151] < found[150] == 3e-4
    assert found[299] == pytest.approx(3e-7 * 10**(3 / 150)) and found[300] == found[2700] == 3e-4


def test_without_a_period_what_is_left_stays():
    optimizer = optimizer_of(groups=(1.0, 10.0))
    scheduler = built(optimizer, type='HoldThenDecayLR', hold=2, decay_end=4, factor=0.01)
    found = run(scheduler, optimizer, 7, lambda opt: [group['lr'] for group in opt.optimizer.param_groups])
    expected = [1, 1, 1, .1, .01, .01, .01, .01]
    assert [one for one, _ in found] == pytest.approx(expected)
    assert [other for _, other in found] == pytest.approx([10 * value for value in expected])


def test_beta1_is_switched_in_every_cycle():
    optimizer = optimizer_of(betas=(0.9, 0.999))
    scheduler = built(optimizer, type='HoldThenSwitchMomentum', hold=150, value=0.5, period=300)
    found = run(scheduler, optimizer, 899, betas)
    assert found == ([(0.9, 0.999)] * 150 + [(0.5, 0.999)] * 150) * 3


def test_momentum_of_sgd():
    optimizer = optimizer_of('SGD', momentum=0.8)
    scheduler = built(optimizer, type='HoldThenSwitchMomentum', hold=1, value=0.3)
    assert run(scheduler, optimizer, 3, lambda opt: opt.param_groups[0]['momentum']) == [0.8, 0.3, 0.3, 0.3]


def test_a_changed_rate_is_the_scheduled_one_after_the_next_step():
    optimizer = optimizer_of(groups=(1.0, ))
    scheduler = built(optimizer, type='HoldThenDecayLR', hold=5, decay_end=9)
    optimizer.param_groups[0]['lr'] = 123.0
    scheduler.step()
    assert rate(optimizer) == 1.0


def test_epochs_as_iterations():
    """Seven iterations an epoch: the closed form at fractions of an epoch, and whole epochs as before."""
    cfg = dict(hold=2, decay_end=4, factor=0.01, period=5)
    fine, coarse = optimizer_of(groups=(1.0, )), optimizer_of(groups=(1.0, ))
    cls = PARAM_SCHEDULERS.get('HoldThenDecayLR')
    scheduler = cls.build_iter_from_epoch(fine, epoch_length=7, **cfg)
    assert not scheduler.by_epoch
    found = run(scheduler, fine, 69, rate)
    assert found[::7] == pytest.approx(run(built(coarse, type='HoldThenDecayLR', **cfg), coarse, 9, rate))
    assert found[17] == pytest.approx(0.01**((17 / 7 - 2) / 2)) and found[35] == 1.0
    momentum = PARAM_SCHEDULERS.get('HoldThenSwitchMomentum').build_iter_from_epoch(
        optimizer_of(), epoch_length=7, hold=2, value=0.5, begin=1, end=4)
    assert (momentum.hold, momentum.period, momentum.begin, momentum.end) == (14, None, 7, 28)
    with pytest.raises(ValueError, match='by_epoch=False counts iterations already'):
        cls.build_iter_from_epoch(fine, epoch_length=7, by_epoch=False, **cfg)
    with pytest.raises(ValueError, match='epoch_length must be a positive number'):
        cls.build_iter_from_epoch(fine, **cfg)


@pytest.mark.parametrize('cfg, message', [
    (dict(type='HoldThenDecayLR', hold=-1, decay_end=3), 'hold of HoldThenDecayLR must not be negative, got -1'),
    (dict(type='HoldThenDecayLR', hold=3, decay_end=3), r'decay_end \(e1\) .* must be above hold .*got 3 and 3'),
    (dict(type='HoldThenDecayLR', hold=1, decay_end=3, factor=0.0), 'factor .* must be positive and finite, got 0'),
    (dict(type='HoldThenDecayLR', hold=3, decay_end=6, period=3), 'hold=3 steps and would begin anew after period=3'),
    (dict(type='HoldThenSwitchMomentum', hold=1, value=1.0), 'at least 0 and below 1, got 1.0'),
    (dict(type='HoldThenSwitchMomentum', hold=2, value=.5, period=2), 'set a period above hold')])
def test_bad_schedules(cfg, message):
    with pytest.raises(ValueError, match=message):
        built(optimizer_of(), **cfg)


SCHEDULE = [dict(type='HoldThenDecayLR', hold=1, decay_end=3, factor=0.01, period=3),
            dict(type='HoldThenSwitchMomentum', hold=2, value=0.5, period=3)]
OPTIMIZER = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01, betas=(0.9, 0.999)))


def toy(work_dir, epochs, scheduler=SCHEDULE, **options):
    cfg = toy_config(work_dir, train_cfg__max_epochs=epochs, train_cfg__val_interval=100, **options)
    cfg.param_scheduler, cfg.optim_wrapper = scheduler, OPTIMIZER
    return RUNNERS.build(cfg)


def test_a_resumed_training_has_the_rates_and_weights_of_an_uninterrupted_one(tmp_path):
    whole = toy(tmp_path / 'whole', 6)
    whole.train()
    second = toy(tmp_path / 'rest', 6, load_from=str(tmp_path / 'whole' / 'epoch_4.pth'), resume=True)
    second.train()
    for runner in (whole, second):
        group = runner.optim_wrapper.optimizer.param_groups[0]
        assert runner.epoch == 6
        assert group['lr'] == pytest.approx(0.01 * 0.1) and tuple(group['betas']) == (0.5, 0.999)  # e = 2 of 3
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key]), key


def test_in_iterations_through_a_runner(tmp_path):
    runner = toy(tmp_path, 3, [dict(SCHEDULE[0], convert_to_iter_based=True)])
    runner.train()
    length = len(runner.train_dataloader)
    scheduler, = runner.param_schedulers
    assert (scheduler.hold, scheduler.decay_end, scheduler.period) == (length, 3 * length, 3 * length)
    done = 3 * length - 1  # before the last batch
    assert rate(runner.optim_wrapper) == pytest.approx(0.01 * 0.01**((done - length) / (2 * length)))
