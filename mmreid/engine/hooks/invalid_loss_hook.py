"""Stop when the loss is no number any more."""

from typing import Optional

import torch
from mmengine.hooks import Hook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import resumable_checkpoints

_REMEDIES = ('Usual remedies: a lower learning rate, gradient clipping '
             '(--cfg-options optim_wrapper.clip_grad.max_norm=10), or training without --amp.')


class InvalidLossError(RuntimeError):
    """The training loss became NaN or infinite."""


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Stop training when the loss is NaN or infinite, and name the iteration in which it happened first.

    The test stays on the device and is read every ``interval`` iterations and before every checkpoint: this hook does
    not wait for a GPU in each iteration (mmengine's ``RuntimeInfoHook``, which keeps the history of the losses, does),
    and no checkpoint is written after the loss has broken down: the last good one is kept.

    Args:
        interval (int): Iterations between two readings of the test. Defaults to 50.

    Raises:
        ValueError: If ``interval`` is less than 1.

    Note:
        Priority ``BELOW_NORMAL``, before the checkpoint hook. Nothing is kept over a resume.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        self.interval = interval
        self._first_bad: Optional[torch.Tensor] = None

    def before_train(self, runner) -> None:
        """Start with a clean record."""
        self._first_bad = None

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Note whether this loss is finite; look at the record every ``interval`` iterations."""
        loss = outputs['loss'].detach() if outputs and 'loss' in outputs else None
        if loss is not None:
            iteration = torch.where(torch.isfinite(loss).all(), -1, runner.iter)
            previous = iteration if self._first_bad is None else self._first_bad
            self._first_bad = torch.where(previous >= 0, previous, iteration)
        if self.every_n_train_iters(runner, self.interval) or loss is None or loss.device.type == 'cpu':
            self._check(runner)

    def after_train_epoch(self, runner) -> None:
        """Look at the record before the checkpoint of the epoch is written."""
        self._check(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Look at the record, and at the weights, before any checkpoint is written.

        Gradients can overflow while the loss is still finite; then the weights are lost one iteration earlier.
        """
        self._check(runner)
        bad = [key for key, value in checkpoint.get('state_dict', {}).items()
               if value.is_floating_point() and not bool(torch.isfinite(value).all())]
        if bad:
            raise InvalidLossError(f'{len(bad)} weights became NaN or infinite in iteration {runner.iter + 1} or '
                                   f'before ({", ".join(bad[:3])}, ...). {_last_good(runner)} {_REMEDIES}')

    def _check(self, runner) -> None:
        if self._first_bad is None or int(self._first_bad) < 0:
            return
        raise InvalidLossError(
            f'The loss became NaN or infinite in iteration {int(self._first_bad) + 1} (epoch {runner.epoch + 1}). '
            f'{_last_good(runner)} {_REMEDIES}')


def _last_good(runner) -> str:
    written = resumable_checkpoints(runner.work_dir)
    return f'The last good checkpoint is {written[0]}.' if written else 'No checkpoint had been written yet.'
