"""Trainings that say which step of a method they are, with a toy network whose weights fit every step."""

import pytest
import torch

from mmreid.engine.hooks import TrainingStepHook
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from tests.test_engine.toy import toy_runner


def run(folder, step=None, starts_from=None, method='Two-stepped', **more):
    hooks = [] if step is None else [dict(type='TrainingStepHook', step=step, starts_from=starts_from, method=method)]
    options = dict(dict(val_cfg=None, val_dataloader=None, val_evaluator=None, train_cfg__max_epochs=1), **more)
    runner = toy_runner(folder, custom_hooks=hooks, **options)
    runner.train()
    return folder / 'epoch_1.pth'


@pytest.fixture(scope='module')
def first(tmp_path_factory):
    return run(tmp_path_factory.mktemp('first'), 'first')


def test_the_step_is_in_the_checkpoint_and_asked_of_the_next(first, tmp_path):
    assert read_checkpoint(first)['meta']['training_step'] == 'first'
    second = run(tmp_path / 'second', 'second', ['zeroth', 'first'], load_from=str(first))
    assert read_checkpoint(second)['meta']['training_step'] == 'second'
    run(tmp_path / 'any', 'first', load_from=str(second))  # says nothing of what it starts from
    run(tmp_path / 'plain', load_from=str(second))  # has no hook
    said = (r'second/epoch_1\.pth is of the step "second" of Two-stepped, and the step "third" of Two-stepped starts '
            r'from a checkpoint of the step "zeroth" or "first": give such a file')
    with pytest.raises(CheckpointError, match=said):
        run(tmp_path / 'third', 'third', ['zeroth', 'first'], load_from=str(second))


def test_nothing_to_start_from(tmp_path):
    with pytest.raises(ValueError, match='the step "second" starts from a checkpoint of the step "first", and none is '
                                         'given: set load_from=FILE'):
        run(tmp_path, 'second', 'first', method='')


def test_a_file_that_does_not_say(first, tmp_path):
    torch.save(dict(state_dict=read_checkpoint(first)['state_dict']), tmp_path / 'bare.pth')
    run(tmp_path / 'second', 'second', 'first', load_from=str(tmp_path / 'bare.pth'))
    log, = (tmp_path / 'second').glob('*/*.log')
    assert log.read_text().count('does not say of which step of Two-stepped it is; the step "second"') == 1


def test_resuming(first, tmp_path):
    """Of the same step it goes on; of another one it does not, and says how that could have been meant."""
    longer = dict(load_from=str(first), train_cfg__max_epochs=2, resume=True)
    run(tmp_path / 'same', 'first', 'zeroth', **longer)
    assert read_checkpoint(tmp_path / 'same/epoch_2.pth')['meta']['epoch'] == 2
    with pytest.raises(CheckpointError, match='of the step "first" of Two-stepped, and what is resumed is the step '
                                              '"second" of Two-stepped.*, or start this step from its weights'):
        run(tmp_path / 'next', 'second', 'first', **longer)
    with pytest.raises(CheckpointError, match=r'Resume with the config it was trained with\.$'):
        run(tmp_path / 'other', 'third', 'second', **longer)


def test_testing_looks_at_no_step(first, tmp_path):
    hook = dict(type='TrainingStepHook', step='second', starts_from='zeroth')
    assert toy_runner(tmp_path, custom_hooks=[hook], load_from=str(first)).test()['market1501/mAP'] > 0


@pytest.mark.parametrize('arguments', [dict(step=''), dict(step='a', starts_from=()), dict(step='a', starts_from='')])
def test_bad_names(arguments):
    with pytest.raises(ValueError, match='needs the name of its step'):
        TrainingStepHook(**arguments)
