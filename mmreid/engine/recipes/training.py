"""One stage of a recipe: a training from its first or next batch to its end, and what it leaves."""

import gc
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmreid.registry import RUNNERS
from mmreid.utils.checkpoint import CheckpointError, checkpoint_step, read_checkpoint, resumable_checkpoints

from ..runner.load_state import load_model_state
from ..runner.reid_runner import ReIDRunner


class LastMetricsHook(Hook):
    """Remembers the result of the latest validation, and after which iteration it was.

    Priority ``LOWEST``; a resumed training knows nothing of the validations before.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.metrics: Dict[str, float] = {}
        self.iteration: Optional[int] = None

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Keep the metrics."""
        self.metrics = {key: float(value) for key, value in (metrics or {}).items()}
        self.iteration = runner.iter


class StageTraining:
    """Runs one config, and frees everything it has used when it is left.

    Args:
        cfg (Config): Config of the training.
        which (str): The checkpoint that is handed on, ``'last'`` or ``'best'``.

    Example:
        >>> with StageTraining(cfg, 'last') as training:  # doctest: +SKIP
        ...     training.run()
        ...     print(training.checkpoint, training.metrics)
    """

    def __init__(self, cfg: Config, which: str) -> None:
        self._cfg, self._which = cfg, which
        self._metrics_hook = LastMetricsHook()
        #: What the stage hands on, once it has been run.
        self.checkpoint: Optional[Path] = None
        #: How well that does in validation, in percent.
        self.metrics: Dict[str, float] = {}
        self.epochs = self.iterations = 0

    def __enter__(self) -> 'StageTraining':
        self._runner: ReIDRunner = RUNNERS.build(self._cfg)
        self._runner.register_hook(self._metrics_hook)
        return self

    def run(self) -> None:
        """Train to the end, find the checkpoint and evaluate it unless the last validation did."""
        runner = self._runner
        runner.train()
        barrier()  # the first process writes the checkpoints
        self.epochs, self.iterations = runner.epoch, runner.iter
        self.checkpoint = self._last() if self._which == 'last' else self._best()
        if runner.val_loop is None:
            return
        if self._which == 'best':
            # The weights of the end are replaced: what is reported is what is handed on.
            load_model_state(runner._bare_model, read_checkpoint(self.checkpoint)['state_dict'], str(self.checkpoint))
            self._evaluate()
        elif self._metrics_hook.iteration != runner.iter:  # none was due, or a process that is gone did it
            self._evaluate()
        self.metrics = self._metrics_hook.metrics

    def __exit__(self, *_: Any) -> None:
        name = self._runner.experiment_name
        self._end_workers()
        self._runner.visualizer.close()
        visualizers = type(self._runner.visualizer)
        del self._runner
        # mmengine keeps these by name for the life of the process, and "the current one" is the newest of them.
        for handler in list(MMLogger.get_instance(name).handlers):
            handler.close()
        for managed in (MMLogger, MessageHub, DefaultScope, visualizers):
            managed._instance_dict.pop(name, None)
        gc.collect()  # a runner is part of reference cycles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _end_workers(self) -> None:
        """End persistent workers now: where a loader is freed among other garbage, they may outlive it for seconds."""
        for loop in (self._runner._train_loop, self._runner._val_loop, self._runner._test_loop):
            iterator = getattr(getattr(loop, 'dataloader', None), '_iterator', None)
            if hasattr(iterator, '_shutdown_workers'):
                iterator._shutdown_workers()

    def _evaluate(self) -> None:
        self._runner.hooks.remove(self._checkpoint_hook)  # nothing is to be saved any more
        self._runner.val_loop.run()

    @property
    def _checkpoint_hook(self) -> CheckpointHook:
        return next(hook for hook in self._runner.hooks if isinstance(hook, CheckpointHook))

    def _last(self) -> Path:
        folder = self._checkpoint_hook.out_dir
        found = resumable_checkpoints(folder)
        reached = self._runner.epoch if found and found[0].name.startswith('epoch') else self._runner.iter
        if not found or checkpoint_step(found[0]) != reached:
            raise CheckpointError(
                f'The training ended after {self._runner.epoch} epochs and {self._runner.iter} iterations, and '
                f'{folder} has no checkpoint of that moment ({found[0].name if found else "none at all"}). Set '
                'default_hooks.checkpoint.interval, and do not set save_last=False.')
        return found[0]

    def _best(self) -> Path:
        info = self._runner.message_hub.runtime_info
        found = [value for key, value in info.items() if key.startswith('best_ckpt') and value]
        if not found or not Path(found[0]).is_file():
            raise CheckpointError(f'{self._cfg.work_dir} has no best checkpoint ({found or "none was written"}), and '
                                  "this stage hands that on (checkpoint='best').")
        return Path(found[0])
