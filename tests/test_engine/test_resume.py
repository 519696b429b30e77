"""An interrupted and resumed training equals an uninterrupted one, bit for bit."""

import pytest
import torch
from mmengine.hooks import Hook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same


class Interrupted(Exception):
    pass


@HOOKS.register_module()
class InterruptHook(Hook):
    """Stop like a crash after so many iterations, once checkpoints of that iteration are written."""
    priority = 'LOWEST'

    def __init__(self, after: int) -> None:
        self.after = after

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.after:
            raise Interrupted

    def after_train_epoch(self, runner) -> None:
        if self.after == -runner.epoch - 1:
            raise Interrupted


BY_EPOCH = dict()
INSIDE_EPOCH = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=3)
BY_ITER = dict(train_cfg=dict(_delete_=True, by_epoch=False, max_iters=11, val_interval=4),
               param_scheduler=[dict(type='MultiStepLR', by_epoch=False, milestones=[6], gamma=0.5)],
               log_processor=dict(by_epoch=False), **INSIDE_EPOCH)


SAVE_BEST = dict(default_hooks__checkpoint__save_best='market1501/mAP', default_hooks__checkpoint__rule='greater')


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('options, stop, last', [
    (BY_EPOCH, -1, 'epoch_2.pth'),
    (INSIDE_EPOCH, 4, None),
    (INSIDE_EPOCH, 3, None),
    (BY_ITER, 7, 'iter_11.pth'),
    (BY_ITER, 10, 'iter_11.pth'),
], ids=['after epoch', 'inside epoch', 'at a checkpoint', 'iterations', 'iterations, second pass'])
def test_resumed_equals_uninterrupted(tmp_path, options, stop, last, workers):
    options = dict(options, train_dataloader__num_workers=workers)
    toy_runner(tmp_path / 'whole', **options).train()
    broken = toy_runner(tmp_path / 'parts', custom_hooks=[dict(type='InterruptHook', after=stop)], **options)
    with pytest.raises(Interrupted):
        broken.train()
    resumed = toy_runner(tmp_path / 'parts', resume=True, **options)
    resumed.train()
    assert resumed.iter > abs(stop)
    last = last or f'iter_{resumed.iter}.pth'
    whole, parts = read_checkpoint(tmp_path / 'whole' / last), read_checkpoint(tmp_path / 'parts' / last)
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
        assert same(whole[part], parts[part]), part
    losses = [checkpoint['message_hub']['log_scalars']['train/loss']['values'] for checkpoint in (whole, parts)]
    assert torch.equal(*losses) and len(losses[0]) == resumed.iter


def test_number_of_workers_does_not_change_the_result(tmp_path):
    for workers in (0, 2):
        toy_runner(tmp_path / str(workers), train_dataloader__num_workers=workers).train()
    left, right = (read_checkpoint(tmp_path / str(workers) / 'epoch_2.pth') for workers in (0, 2))
    assert same(left['state_dict'], right['state_dict'])


def test_checkpoint_inside_an_epoch_holds_the_latent_states(tmp_path):
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='InterruptHook', after=3)], **INSIDE_EPOCH)
    with pytest.raises(Interrupted):
        runner.train()
    state = read_checkpoint(tmp_path / 'iter_3.pth')['train_state']
    assert state['batch_in_epoch'] == 3
    latent = state['ranks'][0]['latent']
    assert len(latent) == 2 and all(bool(value.abs().sum() > 0) for value in latent.values())


def test_damaged_newest_file_is_passed_over(tmp_path, caplog):
    runner = toy_runner(tmp_path)
    runner.train()
    (tmp_path / 'epoch_2.pth').write_bytes(b'not a checkpoint')
    resumed = toy_runner(tmp_path, resume=True)
    assert resumed._newest_readable_checkpoint().name == 'epoch_1.pth'
    resumed.train()
    log = next((tmp_path / resumed.timestamp).glob('*.log')).read_text()
    assert 'Passed over a checkpoint' in log and 'epoch_2.pth' in log
    assert read_checkpoint(tmp_path / 'epoch_2.pth')['meta']['epoch'] == 2


def test_only_damaged_files_is_an_error(tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='None of the 1 checkpoints'):
        toy_runner(tmp_path, resume=True).train()


def test_resume_without_checkpoint_starts_at_the_beginning(tmp_path):
    runner = toy_runner(tmp_path, resume=True)
    runner.train()
    assert runner.epoch == 2


def test_old_checkpoints_go_after_new_ones_are_there(tmp_path):
    runner = toy_runner(tmp_path, default_hooks__checkpoint__max_keep_ckpts=1, **SAVE_BEST)
    runner.train()
    names = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert 'epoch_2.pth' in names and 'epoch_1.pth' not in names
    assert len([name for name in names if name.startswith('best_')]) == 1
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_failed_write_stops_with_the_reason_and_loses_nothing(tmp_path, monkeypatch):
    import mmreid.utils.checkpoint as module
    whole = module.torch.save
    calls = []

    def full_disk(content, stream):
        calls.append(stream.name)
        if len(calls) > 1:
            stream.write(b'0' * 100)
            raise OSError(28, 'No space left on device')
        whole(content, stream)

    monkeypatch.setattr(module.torch, 'save', full_disk)
    with pytest.raises(CheckpointError, match='No space left on device.*Earlier checkpoints are untouched'):
        toy_runner(tmp_path, default_hooks__checkpoint__max_keep_ckpts=1).train()
    monkeypatch.undo()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert not list(tmp_path.glob('.*.tmp'))
    resumed = toy_runner(tmp_path, resume=True)
    resumed.train()
    assert resumed.epoch == 2


def test_best_checkpoint_cannot_be_resumed(tmp_path):
    toy_runner(tmp_path, **SAVE_BEST).train()
    best = next(tmp_path.glob('best_*.pth'))
    with pytest.raises(CheckpointError, match='load_from'):
        toy_runner(tmp_path, resume=True, load_from=str(best)).train()


def test_loading_weights_of_another_architecture_lists_the_differences(tmp_path):
    runner = toy_runner(tmp_path)
    runner.train()
    other = toy_runner(tmp_path / 'other', model__neck__feat_channels=12, model__heads__id__in_channels=12,
                       load_from=str(tmp_path / 'epoch_2.pth'))
    with pytest.raises(CheckpointError, match=r'does not fit.*(?s:.*)shape: neck.*is \(12, .*here, \(16, .*in the'):
        other.train()


def test_loading_weights_with_other_classes_keeps_the_new_classifier(tmp_path):
    toy_runner(tmp_path).train()
    other = toy_runner(tmp_path / 'other', train_dataloader__dataset__num_train_pids=4,
                       load_from=str(tmp_path / 'epoch_2.pth'))
    other.train()
    log = next((tmp_path / 'other' / other.timestamp).glob('*.log')).read_text()
    assert 'heads.id' in log and 'not taken from' in log
