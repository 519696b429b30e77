"""How well a checkpoint does in the validation of its stage."""

import copy
from pathlib import Path
from typing import Dict

from mmengine.config import Config

from .stage_runner import StageRunner

#: What a runner that only validates has no use for. Custom hooks belong to the training: what they make of the weights,
#: such as an average over time, is in the file.
_LEFT_OUT = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'test_dataloader', 'test_cfg',
             'test_evaluator', 'custom_hooks', 'load_parts')


class StageEvaluation(StageRunner):
    """Validates the weights that are in a file, those and no others.

    Args:
        cfg (Config): Config of the training.
        checkpoint (Path): What is evaluated.
    """

    def __init__(self, cfg: Config, checkpoint: Path) -> None:
        cfg = copy.deepcopy(cfg)
        for key in _LEFT_OUT:
            cfg[key] = None
        cfg.load_from, cfg.resume = str(checkpoint), False
        super().__init__(cfg)

    def run(self) -> Dict[str, float]:
        """The metrics, in percent; none where the config has no validation."""
        if self._cfg.get('val_cfg') is None:
            return {}
        return {key: float(value) for key, value in self._runner.val().items()}
