"""Hooks in short real trainings."""

import pytest
import torch
from mmengine.hooks import Hook

from mmreid.engine.hooks import InvalidLossError
from mmreid.evaluation.metrics import feature_metric
from mmreid.models.layers import BConvCell
from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.memory import Measurement
from tests.test_engine.toy import toy_runner


@HOOKS.register_module()
class LatentWitness(Hook):
    """Note before each forward pass, after the reset hook, whether the latent states are zero."""
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        cells = [module for module in runner.model.modules() if isinstance(module, BConvCell)]
        assert len(cells) == 2
        zero = all(cell.state is None or bool((cell.state == 0).all()) for cell in cells)
        self.seen.append((runner.epoch, batch_idx, zero))


@pytest.mark.parametrize('policy, zero_at', [('epoch', lambda batch: batch == 0), ('batch', lambda batch: True)])
def test_latent_states_are_reset(tmp_path, policy, zero_at):
    runner = toy_runner(tmp_path, default_hooks__latent_state__policy=policy, custom_hooks=[dict(type='LatentWitness')])
    runner.train()
    seen = next(hook for hook in runner.hooks if isinstance(hook, LatentWitness)).seen
    assert {epoch for epoch, _, _ in seen} == {0, 1} and len(seen) == runner.iter
    assert [zero for _, _, zero in seen] == [zero_at(batch) for _, batch, _ in seen]


def test_latent_states_are_reset_at_each_pass_of_iteration_based_training(tmp_path):
    runner = toy_runner(tmp_path, train_cfg=dict(_delete_=True, by_epoch=False, max_iters=9, val_interval=100),
                        param_scheduler=[dict(type='ConstantLR', by_epoch=False)], log_processor=dict(by_epoch=False),
                        custom_hooks=[dict(type='LatentWitness')], default_hooks__checkpoint__by_epoch=False)
    runner.train()
    seen = next(hook for hook in runner.hooks if isinstance(hook, LatentWitness)).seen
    length = len(runner.train_dataloader)
    assert 1 < length < 9
    assert [zero for _, _, zero in seen] == [batch % length == 0 for _, batch, _ in seen]


def test_unknown_policy():
    with pytest.raises(ValueError, match="one of epoch, batch, got 'never'"):
        HOOKS.build(dict(type='LatentStateResetHook', policy='never'))


@HOOKS.register_module()
class BreakLoss(Hook):
    """Make the loss NaN from one iteration on."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == self.at:
            runner.model.backbone.scale = float('nan')


def test_nan_loss_names_the_iteration_and_keeps_the_last_good_checkpoint(tmp_path):
    runner = toy_runner(tmp_path, train_cfg__max_epochs=4, custom_hooks=[dict(type='BreakLoss', at=6)])
    length = 6 // 2
    with pytest.raises(InvalidLossError, match=r'iteration 7 .*last good checkpoint is .*epoch_\d.pth'):
        runner.train()
    newest = read_checkpoint(sorted(tmp_path.glob('epoch_*.pth'))[-1])
    assert newest['meta']['iter'] <= 6 and length > 0
    assert all(bool(torch.isfinite(value).all()) for value in newest['state_dict'].values())


def test_nan_loss_is_found_before_a_checkpoint_even_if_it_is_not_looked_at_every_time(tmp_path):
    """On a GPU the record is read every ``interval`` iterations; writing a checkpoint reads it too."""
    hook = HOOKS.build(dict(type='InvalidLossHook', interval=1000))
    runner = toy_runner(tmp_path)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    hook.before_train(runner)
    hook._first_bad = torch.tensor(4)
    with pytest.raises(InvalidLossError, match='iteration 5 .*No checkpoint'):
        hook.before_save_checkpoint(runner, {})


def test_initial_evaluation_is_compared_with_the_last(tmp_path):
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='InitialEvaluationHook')], log_level='INFO')
    runner.train()
    log = next((tmp_path / runner.timestamp).glob('*.log')).read_text()
    table = log[log.index('Before and after training'):]
    assert 'untrained' in table and 'market1501/mAP' in table
    initial = runner.message_hub.get_info('initial_metrics')['market1501/mAP']
    assert f'{initial:.2f}' in table


def test_progress_bar_counts_every_image(tmp_path, capsys):
    runner = toy_runner(tmp_path, default_hooks__progress=dict(type='FeatureProgressHook'))
    runner.val()
    error = capsys.readouterr().err
    total = len(runner.val_dataloader.dataset)
    assert f'{total}/{total}' in error and 'img/s' in error


def test_extraction_is_measured_from_before_the_first_batch(tmp_path, monkeypatch):
    events = []

    class Recording(Measurement):

        def __init__(self, device):
            events.append('start')
            super().__init__(device)

        def stop(self):
            events.append('stop')
            return super().stop()

    monkeypatch.setattr(feature_metric, 'Measurement', Recording)
    runner = toy_runner(tmp_path, **{'default_hooks.extraction_cost': dict(type='ExtractionCostHook')})
    model, forward = runner.model, runner.model.val_step
    monkeypatch.setattr(model, 'val_step', lambda data: (events.append('batch'), forward(data))[1])
    runner.val()
    batches = len(runner.val_dataloader)
    assert events == ['start', *['batch'] * batches, 'stop'] and batches > 1
    metric, = runner.val_loop.evaluator.metrics
    assert metric.last_report.stages['extraction'].seconds > 0
