"""The runner of a stage, and how everything it has used is freed."""

import gc
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from mmreid.registry import RUNNERS

from ..runner.reid_runner import ReIDRunner


class StageRunner:
    """Builds the runner of a config when it is entered, and frees all of it when it is left.

    Args:
        cfg (Config): Config of the runner.
    """

    def __init__(self, cfg: Config) -> None:
        self._cfg = cfg

    def __enter__(self) -> 'StageRunner':
        self._runner: ReIDRunner = RUNNERS.build(self._cfg)
        return self

    def warn(self, text: str) -> None:
        """Write a warning into the log of the stage; the first process does."""
        self._runner.logger.warning(text)

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
