"""One stage of a recipe: a training from its first or next batch to its end, and what it leaves."""

from pathlib import Path
from typing import Dict, Optional

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmreid.utils.checkpoint import CheckpointError

from .processes import on_first
from .stage_runner import StageRunner


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


class StageTraining(StageRunner):
    """Trains one config to its end.

    Args:
        cfg (Config): Config of the training.
        which (str): The checkpoint that is handed on, ``'last'`` or ``'best'``.

    Example:
        >>> with StageTraining(cfg, 'last') as training:  # doctest: +SKIP
        ...     training.run()
        ...     print(training.checkpoint, training.metrics)
    """

    def __init__(self, cfg: Config, which: str) -> None:
        super().__init__(cfg)
        self._which = which
        self._metrics_hook = LastMetricsHook()
        #: What the stage hands on, once it has been run.
        self.checkpoint: Optional[Path] = None
        #: How well that does in validation, in percent; None if it must be evaluated to tell.
        self.metrics: Optional[Dict[str, float]] = None
        self.epochs = self.iterations = 0

    def __enter__(self) -> 'StageTraining':
        super().__enter__()
        self._runner.register_hook(self._metrics_hook)
        return self

    def run(self) -> None:
        """Train to the end and find the checkpoint, which is written now if the interval left it out."""
        runner = self._runner
        runner.train()
        self.epochs, self.iterations = runner.epoch, runner.iter
        if self._which == 'best':
            self.checkpoint = on_first(self._best)
            return
        self.checkpoint = on_first(self._last)
        if self.checkpoint is None:
            self._save()
            self.checkpoint = on_first(self._last)
        if runner.val_loop is None:
            self.metrics = {}
        elif runner.world_size == 1 and self._metrics_hook.iteration == runner.iter:
            # Several processes validate each with its own statistics of batch norms; the file has those of the first.
            self.metrics = self._metrics_hook.metrics

    @property
    def _checkpoint_hook(self) -> CheckpointHook:
        return next(hook for hook in self._runner.hooks if isinstance(hook, CheckpointHook))

    def _last(self) -> Optional[Path]:
        """The file of the position reached, if there is one."""
        hook = self._checkpoint_hook
        reached = self._runner.epoch if hook.by_epoch else self._runner.iter
        path = Path(hook.out_dir) / hook.filename_tmpl.format(reached)
        return path if path.is_file() else None

    def _save(self) -> None:
        """Write the file of the position reached: a training may be stopped early, between two intervals."""
        runner, hook = self._runner, self._checkpoint_hook
        hook._save_checkpoint_with_step(
            runner, runner.epoch if hook.by_epoch else runner.iter, meta=dict(epoch=runner.epoch, iter=runner.iter))

    def _best(self) -> Path:
        """The best file. The training notes where it lay; the folder may have been moved since."""
        hook, info = self._checkpoint_hook, self._runner.message_hub.runtime_info
        keys = ['best_ckpt', *(f'best_ckpt_{key}' for key in hook.key_indicators)]
        named = [Path(hook.out_dir) / Path(info[key]).name for key in keys if info.get(key)]
        if not named or not named[0].is_file():
            raise CheckpointError(f'{hook.out_dir} has no best checkpoint ({named[0] if named else "none was written"}'
                                  "), and this stage hands that on (checkpoint='best').")
        if len(named) > 1:
            self.warn(f'This stage hands on {named[0].name}, the best by {hook.key_indicators[0]}, the first in '
                      f'save_best; not {", ".join(path.name for path in named[1:])}.')
        return named[0]
