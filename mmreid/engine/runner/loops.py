"""Training loops that can continue in the middle of an epoch."""

from typing import Any, Iterator, Sequence

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch.utils.data import DataLoader

from mmreid.registry import LOOPS


def require_batches(loader: DataLoader, world_size: int) -> None:
    """Refuse data that make no batch, on which a training would do nothing and end well.

    Args:
        loader: Data loader of one process.
        world_size: How many processes share the data.

    Raises:
        ValueError: If there is no batch in an epoch.
    """
    if not len(loader):
        raise ValueError(f'{len(loader.dataset):,} images do not make one batch of {loader.batch_size}'
                         + (f' for each of {world_size} processes' if world_size > 1 else '')
                         + ', and a smaller one is dropped: set a smaller train_dataloader.batch_size')


class _ResumableData:
    """The position inside the epoch, shared by both training loops.

    A sampler of mmreid is a pure function of (seed, epoch, position), so a position is all that must be known to
    continue: :meth:`open_epoch` tells the sampler where to start instead of loading and dropping batches.
    """

    #: Index of the next batch inside the current epoch (pass over the data).
    batch_in_epoch: int = 0

    @property
    def epoch_length(self) -> int:
        """Batches of one pass over the data."""
        return len(self.dataloader)

    def validate_if_due(self, resuming: bool = False) -> None:
        """Validate where the intervals say so.

        Checkpoints are written before the validation of their epoch. One that was interrupted, or came after the file
        that is resumed, is made up when training goes on: schedulers and the best checkpoint may depend on it.
        """
        hub = self.runner.message_hub
        done = resuming and (self._iter == 0 or hub.runtime_info.get('last_val_iter') == self._iter)
        if self.runner.val_loop is None or not self.is_validation_due() or done:
            return
        hub.update_info('last_val_iter', self._iter)
        self.runner.val_loop.run()

    def is_validation_due(self) -> bool:
        """Whether the present position is one after which to validate."""
        raise NotImplementedError

    def open_epoch(self, epoch: int) -> Iterator[Any]:
        """Iterate over the batches of ``epoch`` that are still to come (from ``batch_in_epoch`` on)."""
        batch_sampler = self.dataloader.batch_sampler
        sampler = batch_sampler.sampler
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(epoch)
        if self.batch_in_epoch == 0:
            batches = iter(self.dataloader)
        elif hasattr(sampler, 'set_start'):
            # The last batch of an epoch may be smaller than the others.
            sampler.set_start(min(self.batch_in_epoch * batch_sampler.batch_size, len(sampler)))
            batches = iter(self.dataloader)
        else:
            batches = iter(self.dataloader)
            for _ in range(self.batch_in_epoch):
                next(batches)
        # Last, because building an iterator may draw random numbers that the uninterrupted run drew earlier.
        self.runner.restore_pending_rank_state()
        return batches


@LOOPS.register_module()
class EpochTrainLoop(_ResumableData, EpochBasedTrainLoop):
    """Epoch-based training that resumes inside an epoch.

    Built for ``train_cfg=dict(by_epoch=True, ...)``. Differs from mmengine's ``EpochBasedTrainLoop`` in one thing: a
    checkpoint written inside an epoch continues at its next batch, with the same batches as an uninterrupted run.

    Args:
        runner: The runner.
        dataloader: Data loader or its config.
        max_epochs (int): Epochs in all.
        val_begin (int): First epoch that is followed by a validation. Defaults to 1.
        val_interval (int): Epochs between validations. Defaults to 1.
    """

    def run(self):
        """Train until ``max_epochs``.

        Raises:
            ValueError: If the data make no batch.
        """
        require_batches(self.dataloader, self.runner.world_size)
        self.runner.call_hook('before_train')
        self.validate_if_due(resuming=True)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            self.validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def is_validation_due(self) -> bool:
        """Whether this epoch was the last of an interval, or of the training, also of one that a hook has ended."""
        at_end = self.batch_in_epoch == 0 and self._epoch >= self.val_begin
        last = self._epoch == self._max_epochs or self.stop_training
        return at_end and (self._epoch % self.val_interval == 0 or last)

    def run_epoch(self) -> None:
        """Train for the rest of the current epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for index, batch in enumerate(self.open_epoch(self._epoch), self.batch_in_epoch):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self.batch_in_epoch = 0
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Train on one batch; the position advances before the hooks that may write a checkpoint run."""
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.batch_in_epoch = idx + 1
        self.runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1


@LOOPS.register_module()
class IterTrainLoop(_ResumableData, IterBasedTrainLoop):
    """Iteration-based training that resumes at its next batch.

    Built for ``train_cfg=dict(by_epoch=False, ...)``. The data is passed over again and again, reshuffled each time;
    the pass and the position in it are functions of the iteration alone, so nothing is loaded only to be skipped.

    Args:
        runner: The runner.
        dataloader: Data loader or its config.
        max_iters (int): Iterations in all.
        val_begin (int): First iteration that may be followed by a validation. Defaults to 1.
        val_interval (int): Iterations between validations. Defaults to 1000.
    """

    def __init__(self, runner, dataloader, max_iters: int, val_begin: int = 1, val_interval: int = 1000,
                 dynamic_intervals=None) -> None:
        # Not the constructor of the direct base, which opens an iterator, and so starts the workers, at once.
        BaseLoop.__init__(self, runner, dataloader)
        self._max_iters, self._max_epochs = int(max_iters), 1
        self._epoch = self._iter = 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.stop_training = False
        runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)

    def run(self):
        """Train until ``max_iters``.

        Raises:
            ValueError: If the data make no batch.
        """
        runner = self.runner
        require_batches(self.dataloader, runner.world_size)
        runner.call_hook('before_train')
        self.validate_if_due(resuming=True)
        runner.call_hook('before_train_epoch')
        self.batch_in_epoch = self._iter % self.epoch_length
        batches = self.open_epoch(self._iter // self.epoch_length)
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            if self.batch_in_epoch == self.epoch_length:
                self.batch_in_epoch = 0
                batches = self.open_epoch(self._iter // self.epoch_length)
            self.run_iter(next(batches))
            self._decide_current_val_interval()
            self.validate_if_due()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def is_validation_due(self) -> bool:
        """Whether this iteration was the last of an interval, or of the training."""
        at_end = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return at_end and self._iter >= self.val_begin

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """Train on one batch; the position advances before the hooks that may write a checkpoint run."""
        self.runner.call_hook('before_train_iter', batch_idx=self._iter, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.batch_in_epoch += 1
        self.runner.call_hook('after_train_iter', batch_idx=self._iter, data_batch=data_batch, outputs=outputs)
        self._iter += 1
