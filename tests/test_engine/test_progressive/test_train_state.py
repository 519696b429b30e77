"""A snapshot of a training, and that going back to it leaves no trace."""

import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmreid.engine.runner.train_state import TrainState, pack_message_hub
from mmreid.models.layers import latent_state_dict
from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import plain
from tests.test_engine.test_progressive.toy import HEADS, SCHEDULES, content
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

PLAIN = dict(
    model__heads=dict(_delete_=True, **HEADS), param_scheduler=SCHEDULES, train_dataloader__batch_size=12,
    optim_wrapper__clip_grad=dict(max_norm=5.0), train_cfg__max_epochs=3,
    train_dataloader__sampler=dict(_delete_=True, type='PKSampler', num_pids=3, num_instances=4))


def parts(runner) -> dict:
    """All of a training that steps could change, by what it belongs to."""
    network, wrapper, loader = runner._bare_model, runner.optim_wrapper, runner.train_dataloader
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    draws = random.random(), float(np.random.rand()), torch.rand(3)
    random.setstate(state[0]), np.random.set_state(state[1]), torch.set_rng_state(state[2])
    optimizer = wrapper.optimizer.state_dict()
    return plain(dict(
        python=draws[0], numpy=draws[1], torch=draws[2],
        parameters=[p.detach().clone() for p in network.parameters()],
        buffers={name: b.clone() for name, b in network.named_buffers()},
        gradients=[None if p.grad is None else p.grad.clone() for p in network.parameters()],
        latent={name: state.clone() for name, state in latent_state_dict(network).items()},
        modes=[module.training for module in network.modules()],
        hyper={key: value for key, value in vars(network.heads['tri'].loss_module).items()
               if isinstance(value, (int, float))},
        moments={k: {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in s.items()}
                 for k, s in optimizer['state'].items()},
        groups=[dict(group) for group in optimizer['param_groups']],
        counts=[wrapper._inner_count, wrapper._max_counts, wrapper._remainder_counts],
        steps=wrapper._global_step,
        scale=wrapper.loss_scaler.state_dict() if hasattr(wrapper, 'loss_scaler') else 0,
        schedulers=runner._scheduler_states(),
        sampler=[loader.batch_sampler.sampler.epoch, loader.batch_sampler.sampler._start,
                 loader.batch_sampler.sampler.rank, loader.batch_sampler.sampler.world_size],
        generator=loader.generator.get_state(),
        hub=pack_message_hub(runner.message_hub.state_dict())))


def disturb(runner) -> None:
    """Change everything that steps could change."""
    network, wrapper, loader = runner._bare_model, runner.optim_wrapper, runner.train_dataloader
    sampler = loader.batch_sampler.sampler
    before = sampler.epoch
    network.train()
    for batch in runner.train_loop.open_epoch(77):
        network.train_step(batch, optim_wrapper=wrapper)
    assert sampler.epoch == 77 != before
    sampler._start, sampler.rank, sampler.world_size = 5, 3, 4
    random.random(), np.random.rand()
    network.eval()
    network.heads['tri'].loss_module.k = 1
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    for group in wrapper.optimizer.param_groups:
        group['lr'] = 123.0
    wrapper._inner_count, wrapper._max_counts, wrapper._remainder_counts = 99, 98, 97
    if hasattr(wrapper, 'loss_scaler'):
        wrapper.loss_scaler.update(7.0)
    for scheduler in runner.param_schedulers:
        scheduler.last_step += 5
    runner.message_hub.update_scalar('train/loss', 5.0)
    runner.message_hub.update_scalar('train/new', 5.0)
    runner.message_hub.update_info('new', 1)
    runner.message_hub.runtime_info['list'].append(2)


@HOOKS.register_module()
class Probe(Hook):
    """Goes away from the state at a point of the training, and back, twice."""

    priority = 'LOWEST'

    def __init__(self, scaler: bool = False) -> None:
        self.scaler, self.seen = scaler, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter != 2:
            return
        if self.scaler:  # as mixed precision on a GPU has it
            runner.optim_wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=16.0)
            runner.optim_wrapper.loss_scaler.scale(torch.ones(()))
        runner.message_hub.update_info('list', [1])
        state = parts(runner)
        snapshot = TrainState(runner)
        for _ in range(2):
            disturb(runner)
            away = parts(runner)
            snapshot.restore()
            self.seen.append((state, away, parts(runner)))
        if self.scaler:
            del runner.optim_wrapper.loss_scaler


def test_every_part_is_put_back_more_than_once(tmp_path):
    more = dict(PLAIN, optim_wrapper__accumulative_counts=2, train_cfg__max_epochs=2)
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='Probe', scaler=True)], **more)
    runner.train()
    seen = next(hook for hook in runner.hooks if isinstance(hook, Probe)).seen
    assert len(seen) == 2
    for before, away, after in seen:
        assert {key for key in before if same(before[key], away[key])} == set(), 'was to be changed'
        assert {key for key in before if not same(before[key], after[key])} == set(), 'was not put back'
        assert before['latent'] and any(grad is not None for grad in before['gradients'])


@HOOKS.register_module()
class Excursion(Hook):
    """Trains somewhere else before every epoch, and comes back."""

    priority = 'HIGHEST'

    def before_train_epoch(self, runner) -> None:
        snapshot = TrainState(runner)
        runner.model.train()
        runner.optim_wrapper.zero_grad()
        for epoch in (500, 501):
            for batch in runner.train_loop.open_epoch(epoch):
                runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
        snapshot.restore()


@pytest.mark.parametrize('more', [
    dict(),
    dict(optim_wrapper__accumulative_counts=4),  # gradients wait when an epoch ends
    dict(optim_wrapper__optimizer=dict(_delete_=True, type='Adam', lr=0.01, amsgrad=True)),
    dict(train_dataloader__num_workers=2, train_dataloader__persistent_workers=True),
    dict(optim_wrapper__type='ReIDAmpOptimWrapper', custom_hooks=[dict(type='EMAHook', momentum=0.1)]),
], ids=['momentum', 'accumulated', 'adam', 'persistent workers', 'mixed precision, averaged weights'])
def test_the_next_step_is_the_one_that_would_have_followed(tmp_path, more):
    toy_runner(tmp_path / 'straight', **PLAIN, **more).train()
    hooks = [*more.get('custom_hooks', []), dict(type='Excursion')]
    toy_runner(tmp_path / 'around', **PLAIN, **dict(more, custom_hooks=hooks)).train()
    left, right = (content(tmp_path / name / 'epoch_3.pth') for name in ('straight', 'around'))
    assert {key for key in left if not same(left[key], right[key])} == set()
    assert len(left['scalars']['train/loss']) == 6


def test_several_optimizers_are_refused(tmp_path):
    runner = toy_runner(tmp_path)
    with pytest.raises(ValueError, match='one optimizer, got NoneType'):
        runner.optim_wrapper = None
        TrainState(runner)
    with pytest.raises(ValueError, match='one optimizer, got OptimWrapperDict'):
        runner.optim_wrapper = OptimWrapperDict(a=OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=1.0)))
        TrainState(runner)
