"""A progress bar while features are extracted."""

import sys

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from tqdm import tqdm

from mmreid.registry import HOOKS


@HOOKS.register_module()
class FeatureProgressHook(Hook):
    """Show images done, images per second and the time left during validation and testing.

    Args:
        log_interval (float): Seconds between two lines where the output is a file and not a terminal. Defaults to 15.

    Note:
        Priority ``LOW``. Keeps nothing over a resume.
    """

    priority = 'LOW'

    def __init__(self, log_interval: float = 15.0) -> None:
        self.log_interval = log_interval
        self._bar = None

    def before_val_epoch(self, runner) -> None:
        """Open the bar."""
        self._open(runner.val_dataloader)

    def before_test_epoch(self, runner) -> None:
        """Open the bar."""
        self._open(runner.test_dataloader)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Move the bar by the images of the batch, on all ranks."""
        if self._bar is not None and outputs is not None:
            step = min(len(outputs) * get_world_size(), self._bar.total - self._bar.n)
            self._bar.update(step)
            if self._bar.n >= self._bar.total:
                self._bar.close()
                self._bar = None

    after_test_iter = after_val_iter

    def _open(self, dataloader) -> None:
        if is_main_process():
            terminal = sys.stderr.isatty()
            self._bar = tqdm(total=len(dataloader.dataset), desc='Extracting features', unit='img',
                             dynamic_ncols=terminal, mininterval=0.2 if terminal else self.log_interval)
