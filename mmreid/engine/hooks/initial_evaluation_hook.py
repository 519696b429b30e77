"""Show what training has brought."""

from typing import Dict

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmreid.registry import HOOKS


@HOOKS.register_module()
class InitialEvaluationHook(Hook):
    """Evaluate the model before training and print both results side by side at the end.

    Note:
        Priority ``LOWEST``, after the checkpoint hook has prepared its folder. A resumed training does not evaluate
        again: the first result is part of its checkpoint.
    """

    priority = 'LOWEST'

    def before_train(self, runner) -> None:
        """Evaluate unless training goes on from a checkpoint."""
        self._latest: Dict[str, float] = {}
        if runner.iter > 0 or runner.val_loop is None:
            return
        runner.logger.info('Evaluating the model before training')
        metrics = runner.val_loop.run()
        runner.message_hub.update_info('initial_metrics', {key: float(value) for key, value in metrics.items()})

    def after_val_epoch(self, runner, metrics: Dict[str, float]) -> None:
        """Remember the newest result."""
        self._latest = dict(metrics)

    def after_train(self, runner) -> None:
        """Print the first and the last result."""
        initial = runner.message_hub.runtime_info.get('initial_metrics')
        if not initial or not self._latest or not is_main_process():
            return
        shown = [key for key in initial if key in self._latest and key.rsplit('/', 1)[-1] in ('mAP', 'mINP', 'rank-1')]
        width = max(map(len, shown), default=0)
        lines = [f'{"metric (%)":<{width}}   untrained    trained']
        lines += [f'{key:<{width}}   {initial[key]:9.2f}  {float(self._latest[key]):9.2f}' for key in shown]
        runner.logger.info('Before and after training:\n' + '\n'.join(lines))
