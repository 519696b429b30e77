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
    whole, parts, resumed = whole_and_parts(tmp_path, stop, options, last)
    assert resumed.iter > abs(stop)
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


def whole_and_parts(tmp_path, stop, options, last=None):
    """Last checkpoints of an uninterrupted training and of one that was interrupted and resumed, and its runner."""
    toy_runner(tmp_path / 'whole', **options).train()
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', custom_hooks=[dict(type='InterruptHook', after=stop)], **options).train()
    resumed = toy_runner(tmp_path / 'parts', resume=True, **options)
    resumed.train()
    last = last or f'iter_{resumed.iter}.pth'
    return read_checkpoint(tmp_path / 'whole' / last), read_checkpoint(tmp_path / 'parts' / last), resumed


PLATEAU = dict(type='ReduceOnPlateauLR', monitor='market1501/mAP', rule='greater', patience=0, factor=0.5)


@pytest.mark.parametrize('stop', [-1, 3])
def test_schedulers_that_follow_the_metric_and_partial_batches(tmp_path, stop):
    """ReduceOnPlateau steps at validations; a checkpoint can stand after a last batch that is smaller."""
    options = dict(train_cfg__max_epochs=3, train_dataloader__drop_last=False, param_scheduler=[PLATEAU],
                   default_hooks__checkpoint__by_epoch=False)
    whole, parts, _ = whole_and_parts(tmp_path, stop, options)
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
        assert same(whole[part], parts[part]), part


def test_interrupted_validation_is_made_up(tmp_path, monkeypatch):
    broken = toy_runner(tmp_path, train_cfg__val_interval=2)
    broken._val_loop = broken.build_val_loop(broken._val_loop)
    monkeypatch.setattr(broken._val_loop, 'run_iter', lambda *args: (_ for _ in ()).throw(Interrupted()))
    with pytest.raises(Interrupted):
        broken.train()
    resumed = toy_runner(tmp_path, resume=True, train_cfg__val_interval=2)
    resumed.train()
    assert 'val/market1501/mAP' in resumed.message_hub.log_scalars


@pytest.mark.parametrize('stop', [1, 2, 3])
def test_accumulated_gradients_survive(tmp_path, stop):
    options = dict(optim_wrapper__accumulative_counts=3, default_hooks__checkpoint__by_epoch=False,
                   default_hooks__checkpoint__interval=1)
    whole, parts, _ = whole_and_parts(tmp_path, stop, options)
    assert same(whole['state_dict'], parts['state_dict']) and same(whole['optimizer'], parts['optimizer'])


@pytest.mark.parametrize('scheduler', [
    dict(type='OneCycleLR', eta_max=0.1, total_steps=8, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=2), dict(type='PolyLR'), dict(type='ExponentialLR', gamma=0.9),
    dict(type='CosineRestartLR', periods=[1, 1], restart_weights=[1, 0.5], eta_min=0.0),
    dict(type='StepLR', step_size=1), dict(type='ConstantLR'),
], ids=lambda scheduler: scheduler['type'])
def test_every_scheduler_of_mmengine_is_saved_and_resumed(tmp_path, scheduler):
    whole, parts, _ = whole_and_parts(tmp_path, -1, dict(param_scheduler=[scheduler]), 'epoch_2.pth')
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(whole[part], parts[part]), part


def test_a_new_training_in_a_used_folder_is_the_one_that_is_resumed(tmp_path):
    toy_runner(tmp_path, train_cfg__max_epochs=3, **SAVE_BEST).train()
    with pytest.raises(Interrupted):
        toy_runner(tmp_path, custom_hooks=[dict(type='InterruptHook', after=-1)], randomness__seed=1).train()
    assert len(list(tmp_path.glob('epoch_*.pth.before_*'))) == 3 and len(list(tmp_path.glob('best_*.before_*'))) == 1
    resumed = toy_runner(tmp_path, resume=True)
    assert resumed._newest_readable_checkpoint().name == 'epoch_1.pth'
    resumed.train()
    assert resumed.epoch == 2 and resumed.seed == 1


def test_resuming_into_another_folder_leaves_the_first_alone(tmp_path):
    toy_runner(tmp_path / 'a', train_cfg__max_epochs=1, **SAVE_BEST).train()
    before = {path.name: path.read_bytes() for path in (tmp_path / 'a').glob('*.pth')}
    branch = toy_runner(tmp_path / 'b', resume=True, load_from=str(tmp_path / 'a' / 'epoch_1.pth'), **SAVE_BEST)
    branch.message_hub.update_info('best_score', -1.0)
    branch.train()
    assert {path.name: path.read_bytes() for path in (tmp_path / 'a').glob('*.pth')} == before
    assert (tmp_path / 'b' / 'epoch_2.pth').is_file()


@pytest.mark.parametrize('pointer', [b'', b'\xff\xfe', b'epoch_1.pth'])
def test_broken_pointer_does_no_harm(tmp_path, pointer):
    (tmp_path / 'last_checkpoint').write_bytes(pointer)
    assert toy_runner(tmp_path, resume=True)._checkpoint_folder() == tmp_path


def test_auto_resume_of_a_fine_tuning_starts_from_its_source(tmp_path):
    """A job that is put back into the queue always passes --resume."""
    toy_runner(tmp_path / 'source').train()
    source = str(tmp_path / 'source' / 'epoch_2.pth')
    first = toy_runner(tmp_path / 'job', resume='auto', load_from=source)
    first._train_loop = first.build_train_loop(first._train_loop)
    first.load_or_resume()
    assert same(first.model.state_dict(), read_checkpoint(source)['state_dict']) and first.iter == 0
    toy_runner(tmp_path / 'job', resume='auto', load_from=source, train_cfg__max_epochs=1).train()
    again = toy_runner(tmp_path / 'job', resume='auto', load_from=source)
    again.train()
    assert again.epoch == 2 and again.iter == 8


def test_amp_state_without_scaling_is_resumed(tmp_path):
    options = dict(optim_wrapper__type='ReIDAmpOptimWrapper')
    toy_runner(tmp_path, train_cfg__max_epochs=1, **options).train()
    assert read_checkpoint(tmp_path / 'epoch_1.pth')['optimizer']['loss_scaler'] == {}
    resumed = toy_runner(tmp_path, resume=True, **options)
    resumed.train()
    assert resumed.epoch == 2


def test_testing_does_not_overwrite_the_config_of_the_training(tmp_path):
    toy_runner(tmp_path).train()
    dumped = {path: path.read_text() for path in tmp_path.glob('*.py')}
    runner = toy_runner(tmp_path, load_from=str(tmp_path / 'epoch_2.pth'), train_dataloader=None, train_cfg=None,
                        optim_wrapper=None, param_scheduler=None)
    assert {path: path.read_text() for path in tmp_path.glob('*.py')} == dumped
    assert list((tmp_path / runner.timestamp).glob('*.py'))


def test_bare_weights_can_be_tested(tmp_path):
    """A file of another project or a published one has no meta data; the classifier is not needed."""
    toy_runner(tmp_path).train()
    torch.save(read_checkpoint(tmp_path / 'epoch_2.pth')['state_dict'], tmp_path / 'bare.pth')
    nothing = dict(train_dataloader=None, train_cfg=None, optim_wrapper=None, param_scheduler=None)
    results = [toy_runner(tmp_path / str(i), load_from=str(tmp_path / name), **nothing).test()
               for i, name in enumerate(('epoch_2.pth', 'bare.pth'))]
    assert results[0] == results[1]


def test_metric_that_is_not_evaluated_does_not_stop_the_training(tmp_path):
    runner = toy_runner(tmp_path, val_evaluator__protocols=['nd'], **SAVE_BEST)
    runner.train()
    assert runner.epoch == 2 and not list(tmp_path.glob('best_*'))


def test_loading_weights_of_other_people_keeps_the_new_classifier_though_the_shapes_fit(tmp_path):
    toy_runner(tmp_path).train()
    source = read_checkpoint(tmp_path / 'epoch_2.pth')['state_dict']
    for name, domain, taken in (('same', 'a', True), ('other', 'b', False)):
        runner = toy_runner(tmp_path / name, train_dataloader__dataset__domain=domain)
        runner.load_checkpoint(str(tmp_path / 'epoch_2.pth'))
        weights = runner.model.state_dict()
        for key in ('heads.id.classifier.weight', 'heads.id.classifier.bias'):
            assert torch.equal(weights[key], source[key]) == taken
        assert torch.equal(weights['heads.id.hidden.0.weight'], source['heads.id.hidden.0.weight'])
        assert torch.equal(weights['backbone.stem.0.weight'], source['backbone.stem.0.weight'])


def test_stated_number_of_classes_must_be_that_of_the_data(tmp_path):
    with pytest.raises(ValueError, match='num_classes=7 of a ClassificationHead .* have 6 identities'):
        toy_runner(tmp_path, model__heads__id__num_classes=7)
    assert toy_runner(tmp_path, model__heads__id__num_classes=6).model.heads['id'].num_classes == 6


def test_batch_size_must_be_that_of_the_sampler(tmp_path):
    sampler = dict(type='PKSampler', num_pids=2, num_instances=2)
    with pytest.raises(ValueError, match='makes batches of 4 images, .* batches of 5. Set batch_size=4'):
        toy_runner(tmp_path, train_dataloader__sampler=sampler)


def test_resuming_needs_no_pretrained_weights(tmp_path, monkeypatch):
    """They may have to be downloaded, and the checkpoint replaces them anyway."""
    toy_runner(tmp_path, train_cfg__max_epochs=1).train()
    resumed = toy_runner(tmp_path, resume=True)
    monkeypatch.setattr(type(resumed.model), 'init_weights', lambda self: pytest.fail('initialised'))
    resumed.train()
    assert resumed.epoch == 2


def test_loading_weights_with_other_classes_keeps_the_new_classifier(tmp_path):
    toy_runner(tmp_path).train()
    other = toy_runner(tmp_path / 'other', train_dataloader__dataset__num_train_pids=4,
                       load_from=str(tmp_path / 'epoch_2.pth'))
    other.train()
    log = next((tmp_path / 'other' / other.timestamp).glob('*.log')).read_text()
    assert 'heads.id' in log and 'not taken from' in log
