"""Time and memory of the extraction of features."""

from typing import Any

from mmengine.hooks import Hook

from mmreid.evaluation import FeatureMetric
from mmreid.registry import HOOKS


@HOOKS.register_module()
class ExtractionCostHook(Hook):
    """Tell the metrics when the extraction of features begins and ends, for the table of stages.

    Without it they measure from the end of the first batch on.

    Note:
        Priority ``VERY_LOW``. Keeps nothing over a resume.
    """

    priority = 'VERY_LOW'

    def before_val_epoch(self, runner) -> None:
        """Begin."""
        self._start(runner, runner.val_loop)

    def before_test_epoch(self, runner) -> None:
        """Begin."""
        self._start(runner, runner.test_loop)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """End with the last batch."""
        self._stop_at_end(runner.val_loop, batch_idx)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """End with the last batch."""
        self._stop_at_end(runner.test_loop, batch_idx)

    @staticmethod
    def _start(runner, loop: Any) -> None:
        device = next(runner.model.parameters()).device
        for metric in _feature_metrics(loop):
            metric.start_extraction(device)

    @staticmethod
    def _stop_at_end(loop: Any, batch_idx: int) -> None:
        if batch_idx + 1 == len(loop.dataloader):
            for metric in _feature_metrics(loop):
                metric.stop_extraction()


def _feature_metrics(loop: Any) -> list[FeatureMetric]:
    return [metric for metric in loop.evaluator.metrics if isinstance(metric, FeatureMetric)]
