"""What begins anew with every round of pseudo labels."""

import copy
from typing import Any, Dict, List

import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmreid.models.heads import ClassificationHead

_STREAM = 0x51EED  # separates the draws of new classifiers from those of training


def bare_network(runner) -> nn.Module:
    """The network of a runner without what distributes it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def classifiers(network: nn.Module) -> List[ClassificationHead]:
    """The heads whose classes change from round to round."""
    return [head for head in network.modules() if isinstance(head, ClassificationHead)]


class FreshStart:
    """Builds data loader, classifiers, optimizer, schedules, distributed wrapper and averaged weights anew.

    Everything is a function of the config, the seed and the number of the round, so that a resumed training builds the
    same.

    Args:
        cfg (Config): Of the training, before anything is built of it.
    """

    def __init__(self, cfg: Config) -> None:
        self._cfg: Dict[str, Any] = {key: copy.deepcopy(cfg.get(key)) for key in (
            'train_dataloader', 'optim_wrapper', 'param_scheduler')}

    def dataloader(self, runner, dataset: Dataset, seed: int) -> DataLoader:
        """A loader over the present rows of a dataset; persistent processes of an older one know older labels."""
        return runner.build_dataloader(dict(self._cfg['train_dataloader'], dataset=dataset), seed=seed,
                                       diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False))

    def training(self, runner, num_classes: int, seed: int, number: int) -> None:
        """Fresh classifiers, and all that holds on to the parameters that were. Nothing may be frozen at this time, or
        it would be missing in the optimizer and the wrapper.

        Args:
            runner: The runner.
            num_classes (int): Classes of the round.
            seed (int): Of the training.
            number (int): Of the round; another one draws other classifiers.
        """
        network = bare_network(runner)
        network.zero_grad(set_to_none=True)  # gradients of accumulated batches belong to the round before
        device = next(network.parameters()).device
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):
            torch.manual_seed(_STREAM + 1_000_003 * seed + number)  # the same on every process
            for head in classifiers(network):
                head.reset_classifier(num_classes)
        if is_model_wrapper(runner.model):
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), network)
            runner.model.train()
        runner.optim_wrapper = runner.build_optim_wrapper(copy.deepcopy(self._cfg['optim_wrapper']))
        runner.param_schedulers = copy.deepcopy(self._cfg['param_scheduler'])  # unbuilt, or rates could not be scaled
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        runner.optim_wrapper.initialize_count_status(runner.model, 0, runner.max_iters)
        if self._cfg['param_scheduler'] is not None:
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # averages begin with the weights that the round begins with
                hook.before_run(runner)
