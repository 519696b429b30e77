"""Building what the runner of a stage will build, without a runner's folder, log and processes."""

import copy
import inspect
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Optional, Tuple

from mmengine.config import Config
from torch import nn
from torch.utils.data import DataLoader

from mmreid.registry import MODEL_WRAPPERS, VISBACKENDS, VISUALIZERS
from mmreid.utils.registry import ReIDRegistry

from ..runner.reid_runner import ReIDRunner


class Rehearsal(ReIDRunner):
    """As much of a runner as its own methods need to build components.

    Args:
        loader (DataLoader): Stands for the data of training and validation.
        model (nn.Module, optional): The network; only the shapes of its weights are looked at.
    """

    def __init__(self, loader: DataLoader, model: Optional[nn.Module]) -> None:
        self.model = model
        self.logger, self.visualizer = logging.getLogger(__name__), SimpleNamespace(dataset_meta=None)
        self._train_dataloader = self._val_dataloader = self._test_dataloader = loader
        self._train_loop = self._val_evaluator = self._test_evaluator = None
        self._hooks = []

    def build_training(self, cfg: Config) -> None:
        """Build the training loop."""
        self._train_loop = self.build_train_loop(copy.deepcopy(cfg.train_cfg))

    def build_optimization(self, cfg: Config) -> None:
        """Build the optimizer."""
        self.optim_wrapper = self.build_optim_wrapper(copy.deepcopy(cfg.optim_wrapper))

    def build_schedules(self, cfg: Config) -> None:
        """Build the parameter schedulers, which need loop and optimizer."""
        if cfg.get('param_scheduler') is not None and self._train_loop is not None and hasattr(self, 'optim_wrapper'):
            self._check_scheduler_cfg(cfg.param_scheduler)
            self.build_param_scheduler(copy.deepcopy(cfg.param_scheduler))

    def build_metrics(self, cfg: Config, split: str) -> None:
        """Build the evaluator of ``'val'`` or ``'test'``."""
        if cfg.get(f'{split}_evaluator') is not None:
            evaluator = self.build_evaluator(copy.deepcopy(cfg[f'{split}_evaluator']))
            setattr(self, f'_{split}_evaluator', evaluator)

    def build_validation(self, cfg: Config, split: str) -> None:
        """Build the loop of ``'val'`` or ``'test'``, which needs the evaluator."""
        if cfg.get(f'{split}_cfg') is not None and getattr(self, f'_{split}_evaluator') is not None:
            getattr(self, f'build_{split}_loop')(copy.deepcopy(cfg[f'{split}_cfg']))


def rehearsed(cfg: Config, model: Optional[nn.Module],
              loader: Optional[DataLoader]) -> Iterator[Tuple[str, Callable[[], Any]]]:
    """Entries of a config, each with a function that raises if it cannot be built.

    Args:
        cfg (Config): Config of a training.
        model (nn.Module, optional): Its network; without it the optimizer is passed over.
        loader (DataLoader, optional): Its training data.
    """
    runner = Rehearsal(DataLoader([0]) if loader is None else loader, model)
    yield 'train_cfg', lambda: runner.build_training(cfg)
    if model is not None:
        yield 'optim_wrapper', lambda: runner.build_optimization(cfg)
        yield 'param_scheduler', lambda: runner.build_schedules(cfg)
    hooks = [(f'default_hooks.{name}', hook) for name, hook in (cfg.get('default_hooks') or {}).items()]
    hooks += [(f'custom_hooks.{number}', hook) for number, hook in enumerate(cfg.get('custom_hooks') or [])]
    for place, hook in hooks:
        if hook is not None:
            yield place, lambda hook=hook: runner.register_hook(copy.deepcopy(hook))
    for split in ('val', 'test'):
        yield f'{split}_evaluator', lambda split=split: runner.build_metrics(cfg, split)
        yield f'{split}_cfg', lambda split=split: runner.build_validation(cfg, split)
    yield 'log_processor', lambda: runner.build_log_processor(copy.deepcopy(cfg.get('log_processor') or {}))
    yield 'visualizer', lambda: _check_visualizer(cfg.get('visualizer'))
    yield 'model_wrapper_cfg', lambda: _check_call(
        MODEL_WRAPPERS, dict(dict(type='MMDistributedDataParallel'), **(cfg.get('model_wrapper_cfg') or {})),
        module=None)


def _check_visualizer(visualizer: Optional[Any]) -> None:
    """Making one would make folders, or log in to a service."""
    if isinstance(visualizer, dict):
        _check_call(VISUALIZERS, dict(dict(name='', save_dir=''), **visualizer))
        for backend in visualizer.get('vis_backends') or []:
            if isinstance(backend, dict):
                _check_call(VISBACKENDS, dict(dict(save_dir=''), **backend))


def _check_call(registry: ReIDRegistry, cfg: Any, **given: Any) -> None:
    """Whether a component exists and takes these arguments."""
    arguments = dict(given, **cfg)
    kind = arguments.pop('type')
    kind = registry.get(kind) if isinstance(kind, str) else kind
    inspect.signature(kind).bind(**arguments)
