"""Distillation through the runner: lambda 0 is plain fine-tuning, and nothing of the teacher remains."""

import pytest
import torch
from mmengine.hooks import Hook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from mmreid.utils.config import ConfigError, drop_training
from tests.test_engine.test_resume import INSIDE_EPOCH, whole_and_parts
from tests.test_engine.toy import RUNNERS, toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

PLAIN = dict(model__neck=dict(_delete_=True, type='ReductionNeck', in_channels=8, feat_channels=16))


def student(teacher, lambda_l1=0.8, **teacher_options):
    return dict(PLAIN, model__type='DistillationNet', model__lambda_l1=lambda_l1,
                model__teacher=dict(checkpoint=teacher and str(teacher), **teacher_options))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp('teacher')
    toy_runner(folder, train_cfg__max_epochs=1).train()
    return folder / 'epoch_1.pth'


@HOOKS.register_module()
class TeacherBitsHook(Hook):
    """Collect what is in the teacher and its mode at every step."""

    seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        network = runner.model.teacher.network
        modes = {module.training for module in network.modules()}
        self.seen.append(({key: value.clone() for key, value in network.state_dict().items()}, modes, dict(outputs)))


@pytest.mark.parametrize('path', [None, 'absent.pth'])
def test_lambda_zero_is_plain_fine_tuning_bit_for_bit(tmp_path, path):
    toy_runner(tmp_path / 'plain', **PLAIN).train()
    toy_runner(tmp_path / 'std', **student(path, 0.0)).train()
    plain, distilled = (read_checkpoint(tmp_path / name / 'epoch_2.pth') for name in ('plain', 'std'))
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
        assert same(plain[part], distilled[part]), part
    scalars = [checkpoint['message_hub']['log_scalars'] for checkpoint in (plain, distilled)]
    assert torch.equal(*(item['train/loss']['values'] for item in scalars))
    assert not any('std' in key for key in scalars[1])


def test_teacher_stays_what_its_file_holds(tmp_path, teacher):
    TeacherBitsHook.seen.clear()
    runner = toy_runner(tmp_path, **student(teacher), train_cfg__max_epochs=5,
                        custom_hooks=[dict(type='TeacherBitsHook'), dict(type='EMAHook')])
    runner.train()
    assert len(TeacherBitsHook.seen) >= 20
    weights = read_checkpoint(teacher)['state_dict']
    for state, modes, outputs in TeacherBitsHook.seen:
        assert modes == {False} and {'loss', 'id.loss_ce', 'std.loss_l1', 'std.l1'} <= set(outputs)
        assert outputs['std.loss_l1'].item() == pytest.approx(0.8 * outputs['std.l1'].item())
        assert len(state) > 5 and all(torch.equal(value, weights[key]) for key, value in state.items())


def test_student_is_tested_resumed_and_loaded_without_its_teacher(tmp_path, teacher):
    own = tmp_path / 'teacher.pth'
    own.write_bytes(teacher.read_bytes())
    toy_runner(tmp_path / 'std', **student(own)).train()
    own.unlink()
    file = tmp_path / 'std' / 'epoch_2.pth'
    keys = set(read_checkpoint(file)['state_dict'])
    assert keys == set(toy_runner(tmp_path / 'plain', **PLAIN).model.state_dict())

    results = []
    for name, options in (('distillation', student(own)), ('plain', PLAIN)):
        cfg = toy_config(tmp_path / f'test_{name}', load_from=str(file), **options)
        drop_training(cfg)
        results.append(RUNNERS.build(cfg).test())
    assert results[0]['market1501/mAP'] == results[1]['market1501/mAP'] > 0

    toy_runner(tmp_path / 'continued', load_from=str(file), train_cfg__max_epochs=1, **PLAIN).train()
    with pytest.raises(CheckpointError, match='teacher.pth does not exist'):
        toy_runner(tmp_path / 'again', load_from=str(file), **student(own)).train()


@pytest.mark.parametrize('options, stop, last', [({}, -1, 'epoch_2.pth'), (INSIDE_EPOCH, 4, None)])
def test_resumed_distillation_equals_an_uninterrupted_one(tmp_path, teacher, options, stop, last):
    whole, parts, _ = whole_and_parts(tmp_path, stop, {**options, **student(teacher)}, last)
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
        assert same(whole[part], parts[part]), part


def test_a_missing_teacher_is_told_before_the_first_batch(tmp_path):
    runner = toy_runner(tmp_path, **student(None))
    with pytest.raises(ValueError, match='--cfg-options model.teacher.checkpoint=FILE'):
        runner.train()
    assert runner.iter == 0 and not list(tmp_path.glob('*.pth'))


def test_classes_of_a_teacher_given_as_a_config_are_its_own(tmp_path, teacher):
    cfg = toy_config(tmp_path).model
    cfg.heads.id.num_classes = 1000
    runner = toy_runner(tmp_path, train_cfg__max_epochs=1, **student(teacher, model=cfg.to_dict()))
    assert runner.model.heads['id'].num_classes == 6
    runner.train()
    assert runner.model.teacher.network is not None


def test_student_in_bfloat16(tmp_path, teacher):
    options = dict(student(teacher), optim_wrapper__type='ReIDAmpOptimWrapper')
    runner = toy_runner(tmp_path, train_cfg__max_epochs=1, **options)
    runner.train()
    assert {p.dtype for p in runner.model.teacher.network.parameters()} == {torch.float32}


def test_another_length_of_the_feature_is_told_before_the_first_batch(tmp_path, teacher):
    options = dict(student(teacher), model__neck__feat_channels=12, model__heads__id__in_channels=12)
    runner = toy_runner(tmp_path, custom_hooks=[dict(type='InitialEvaluationHook')], **options)
    with pytest.raises(ConfigError, match='student has 12 numbers and that of the teacher .* has 16'):
        runner.train()
    assert runner._train_loop is not None and not list(tmp_path.glob('*.pth'))


def log_of(folder):
    return '\n'.join(path.read_text() for path in sorted(folder.glob('*/*.log')))


def test_going_on_with_another_teacher_is_remarked(tmp_path, teacher):
    given = dict(student(teacher), default_hooks__checkpoint__interval=1)
    toy_runner(tmp_path / 'a', train_cfg__max_epochs=1, **given).train()
    moved = tmp_path / 'moved.pth'
    moved.write_bytes(teacher.read_bytes())
    toy_runner(tmp_path / 'a', resume=True, **dict(given, **student(moved))).train()
    assert 'another distillation' not in log_of(tmp_path / 'a')

    toy_runner(tmp_path / 'other').train()
    changed = student(tmp_path / 'other' / 'epoch_2.pth', lambda_l1=0.3)
    toy_runner(tmp_path / 'a', resume=True, train_cfg__max_epochs=3, **dict(given, **changed)).train()
    text = log_of(tmp_path / 'a')
    assert 'another distillation' in text and 'lambda_l1 was 0.8, now 0.3' in text and 'teacher_sha256 was' in text


def test_a_finished_training_needs_its_teacher_no_more(tmp_path, teacher):
    own = tmp_path / 'teacher.pth'
    own.write_bytes(teacher.read_bytes())
    toy_runner(tmp_path / 'std', **student(own)).train()
    own.unlink()
    toy_runner(tmp_path / 'std', resume='auto', **student(own)).train()


def test_a_head_may_be_called_teacher(tmp_path):
    heads = dict(_delete_=True, teacher=dict(type='ClassificationHead', in_channels=16, num_classes=None))
    assert toy_runner(tmp_path, model__heads=heads).model.heads['teacher'].num_classes == 6
