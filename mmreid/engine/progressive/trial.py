"""A few silent epochs with one set of hyper-parameters."""

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import numpy as np
import torch
from mmengine.dist import all_reduce

from mmreid.engine.runner.train_state import TrainState
from mmreid.models.layers import reset_latent_states

from .objective import WORST, relative_drop
from .space import SearchSpace

#: Epochs of exploration have numbers of their own, so that exploitation meets its batches for the first time.
FIRST_EPOCH = 1_000_000
_STREAM = 0x9A7  # separates the draws of trials from those of training


@dataclass(frozen=True)
class TrialRun:
    """How every trial of a run is carried out.

    All trials of a cycle begin in the same state and see the same batches, with the same augmentation and the same
    random numbers, which depend on the seed and the cycle alone: what differs is what the set of hyper-parameters has
    done. They run at the initial learning rate and betas, whatever a schedule has made of them, and with the moments
    that the optimizer has.

    Attributes:
        space: Where the values belong.
        epochs: Epochs of a trial.
        expected_drop: Of the objective, see :func:`relative_drop`.
        initial: Values of each parameter group at the beginning of the run, see :func:`initial_groups`.
        seed: Of the run.
        alone: Whether this process is by itself in a trial: it computes without exchanging gradients and goes through
            the data as a single process does. Otherwise all processes carry out one trial together.
    """

    space: SearchSpace
    epochs: int
    expected_drop: float
    initial: Tuple[Mapping[str, Any], ...]
    seed: int
    alone: bool

    def __call__(self, runner: Any, before: TrainState, cycle: int, values: Mapping[str, Any]) -> Dict[str, Any]:
        """Carry out a trial and go back to the state before.

        Args:
            runner: The runner; its hooks are not called, but for :func:`steer`, and its schedulers do not step.
            before: Its present state.
            cycle: Number of the cycle, from 1.
            values: The set to try.

        Returns:
            dict: ``losses`` of the epochs, ``objective``, ``note`` and ``seconds``. A loss that is NaN or infinite ends
            the trial after its epoch, with the worst objective.
        """
        start = time.perf_counter()
        try:
            losses = self._losses(runner, cycle, values)
        finally:
            before.restore()
        failed = len(losses) < self.epochs or not np.isfinite(losses[-1])
        return dict(losses=losses, objective=WORST if failed else relative_drop(losses, self.expected_drop),
                    note=f'the loss became NaN or infinite in epoch {len(losses)} of the trial' if failed else '',
                    seconds=round(time.perf_counter() - start, 3))

    def _losses(self, runner: Any, cycle: int, values: Mapping[str, Any]) -> List[float]:
        network = runner._bare_model
        model = network if self.alone else runner.model
        self.space.apply(network, values)
        begin_anew(runner.optim_wrapper, self.initial)
        rank = 0 if self.alone else runner.rank
        _seed(np.random.SeedSequence([_STREAM, self.seed, cycle, rank]).generate_state(1).item())
        losses: List[float] = []
        model.train()
        steer(runner)  # what is frozen does not train
        with whole_stream(runner.train_dataloader, self.alone and runner.world_size > 1):
            while len(losses) < self.epochs and np.isfinite(losses[-1:]).all():
                reset_latent_states(network)
                batches = runner.train_loop.open_epoch(FIRST_EPOCH + (cycle - 1) * self.epochs + len(losses))
                losses.append(self._mean(
                    [model.train_step(batch, optim_wrapper=runner.optim_wrapper)['loss'].detach()
                     for batch in batches]))
        return losses

    def _mean(self, losses: List[torch.Tensor]) -> float:
        """Mean over the batches, and over the processes that share the trial; read once, at the end of an epoch."""
        mean = torch.stack([loss.reshape(()) for loss in losses]).double().mean()
        if not self.alone:
            all_reduce(mean, 'mean')
        return mean.item()


def steer(runner: Any) -> None:
    """Let hooks that steer the network as a function of the position (phases, schedules) do so now."""
    for hook in runner.hooks:
        if hasattr(hook, 'steer'):
            hook.steer(runner)


def initial_groups(optimizer: torch.optim.Optimizer) -> Tuple[Dict[str, Any], ...]:
    """Rates of every parameter group at the beginning of a run: what schedulers call initial, or what is set now."""
    found = []
    for group in optimizer.param_groups:
        rates = {key: group[key] for key in ('lr', 'momentum', 'betas') if key in group}
        rates.update({key: group[f'initial_{key}'] for key in group if f'initial_{key}' in group})
        if 'betas' in rates and 'momentum' in rates:  # a momentum scheduler steers the first beta by this name
            rates['betas'] = (rates['momentum'], *rates['betas'][1:])
        found.append({key: tuple(map(float, value)) if key == 'betas' else float(value)
                      for key, value in rates.items()})
    return tuple(found)


def begin_anew(optim_wrapper: Any, initial: Tuple[Mapping[str, Any], ...]) -> None:
    """Initial rates, no gradients of earlier batches, and counts of batches that start at zero."""
    for group, rates in zip(optim_wrapper.optimizer.param_groups, initial):
        group.update(rates)
    optim_wrapper.zero_grad()
    optim_wrapper._inner_count, optim_wrapper._max_counts, optim_wrapper._remainder_counts = 0, -1, -1


@contextmanager
def whole_stream(loader: Any, wanted: bool) -> Iterator[None]:
    """Let the sampler of this process draw what that of a single process would."""
    sampler = loader.batch_sampler.sampler
    before = (sampler.rank, sampler.world_size) if wanted else None
    if before is not None:
        sampler.rank, sampler.world_size = 0, 1
    try:
        yield
    finally:
        if before is not None:
            sampler.rank, sampler.world_size = before


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # that of every device, too
