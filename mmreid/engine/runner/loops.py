"""Training loops that can continue in the middle of an epoch."""

from typing import Any, Iterator, Sequence

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmreid.registry import LOOPS


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

    def open_epoch(self, epoch: int) -> Iterator[Any]:
        """Iterate over the batches of ``epoch`` that are still to come (from ``batch_in_epoch`` on)."""
        batch_sampler = self.dataloader.batch_sampler
        sampler = batch_sampler.sampler
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(epoch)
        if self.batch_in_epoch == 0:
            batches = iter(self.dataloader)
        elif hasattr(sampler, 'set_start'):
            sampler.set_start(self.batch_in_epoch * batch_sampler.batch_size)
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
        super().__init__(runner, dataloader, max_iters, val_begin, val_interval, dynamic_intervals)
        # The base class opens an iterator (and starts workers) at once; ours is opened where training starts.
        self.dataloader_iterator = None

    def run(self):
        """Train until ``max_iters``."""
        runner = self.runner
        runner.call_hook('before_train')
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
            validates = self._iter % self.val_interval == 0 or self._iter == self._max_iters
            if runner.val_loop is not None and self._iter >= self.val_begin and validates:
                runner.val_loop.run()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """Train on one batch; the position advances before the hooks that may write a checkpoint run."""
        self.runner.call_hook('before_train_iter', batch_idx=self._iter, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.batch_in_epoch += 1
        self.runner.call_hook('after_train_iter', batch_idx=self._iter, data_batch=data_batch, outputs=outputs)
        self._iter += 1
