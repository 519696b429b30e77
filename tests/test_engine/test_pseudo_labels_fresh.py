"""What begins anew with a round, and what a resumed round goes on with, in short real trainings."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook, Hook

from mmreid.engine.hooks import PseudoLabelHook
from mmreid.pseudo_labels import PseudoLabeller, PseudoLabels
from mmreid.registry import HOOKS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from tests.test_engine.test_pseudo_labels import Interrupted, RoundWitness, hook_of, options
from tests.test_engine.toy import toy_config, toy_runner
from tests.test_utils.test_checkpoint import same


@TASK_UTILS.register_module()
class MoreAndMore(PseudoLabeller):
    """Three classes, then four, then five: numbered by the rounds that were labelled in this process or before."""

    def __init__(self, first=3):
        self.classes = first

    def label(self, feats, camids):
        labels = np.arange(len(feats)) % self.classes
        self.classes += 1
        return PseudoLabels(labels, np.arange(len(feats)) > 0)


@HOOKS.register_module()
class StopInValidation(Hook):
    """Stop like a crash, in the validation after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_val_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise Interrupted


@HOOKS.register_module()
class GradientWitness(Hook):
    """Gradients and averages that a round begins with."""
    priority = 'LOWEST'

    def __init__(self):
        self.gradients, self.averages = [], []

    def before_train_epoch(self, runner):
        if runner.epoch % 2 == 0:
            self.gradients.append(sum(float(p.grad.abs().sum()) for p in runner.model.parameters()
                                      if p.grad is not None))
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    model, mean = runner.model.state_dict(), hook.ema_model.module.state_dict()
                    self.averages.append(all(torch.equal(model[key], mean[key]) for key in model))


@HOOKS.register_module()
class SeedNow(Hook):
    """Dropout of two trainings draws the same from here on."""
    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        torch.manual_seed(runner.iter)


def test_a_finished_training_with_changing_classes_is_resumed(tmp_path):
    given = options(labeller=dict(type='MoreAndMore'))
    toy_runner(tmp_path, **given).train()
    assert len(read_checkpoint(tmp_path / 'epoch_6.pth')['state_dict']['heads.id.classifier.weight']) == 5
    resumed = toy_runner(tmp_path, resume=True, **given)
    resumed.train()
    assert resumed.epoch == 6 and resumed.model.heads['id'].num_classes == 5


@pytest.mark.parametrize('epoch', [4, 6])
def test_a_validation_that_was_cut_off_is_made_up(tmp_path, epoch):
    given = options(labeller=dict(type='MoreAndMore'))
    toy_runner(tmp_path / 'whole', **given).train()
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', **dict(given, custom_hooks=[
            *given['custom_hooks'], dict(type='StopInValidation', epoch=epoch)])).train()
    left = 3 + epoch // 2  # labellings that are done: the next round's is in the checkpoint
    given = options(labeller=dict(type='MoreAndMore', first=left + 1))
    toy_runner(tmp_path / 'parts', resume=True, **given).train()
    whole, parts = (read_checkpoint(tmp_path / folder / 'epoch_6.pth') for folder in ('whole', 'parts'))
    assert same(whole['state_dict'], parts['state_dict'])
    records = [json.loads((tmp_path / folder / 'rounds.json').read_text()) for folder in ('whole', 'parts')]
    assert records[0] == records[1] and all('metrics' in record for record in records[0])


def test_weights_of_a_round_hold_no_training_state(tmp_path):
    toy_runner(tmp_path, **options(labeller=dict(type='MoreAndMore'))).train()
    with pytest.raises(CheckpointError, match='weights but no training state'):
        toy_runner(tmp_path, resume=True, load_from=str(tmp_path / 'round_2.pth'),
                   **options(labeller=dict(type='MoreAndMore'))).train()


def test_all_images_labelled_is_supervised_learning(tmp_path):
    """Every round is plain training with the labels of the data set, from the original weights."""
    people = len({info['pid'] for info in _source(tmp_path)})
    given = options(keep_labels=True, data=dict(num_labeled_ids=people), train_cfg__max_epochs=2)
    given['custom_hooks'].append(dict(type='SeedNow'))
    rounds = toy_runner(tmp_path / 'rounds', **given)
    rounds.train()
    start = hook_of(rounds, RoundWitness).starts[0]
    torch.save(dict(state_dict=start, meta={}), tmp_path / 'start.pth')
    kept = {key: value for key, value in given.items() if key.startswith(('train_cfg', 'param', 'train_dataloader__b'))}
    plain = toy_runner(tmp_path / 'plain', load_from=str(tmp_path / 'start.pth'),
                        custom_hooks=[dict(type='SeedNow')], **kept)
    plain.train()
    assert people > 2 and rounds.train_loop.dataloader.dataset.pool_rows.size == 0
    assert same(rounds.model.state_dict(), plain.model.state_dict())


def _source(tmp_path):
    runner = toy_runner(tmp_path / 'source')
    dataset = runner.train_dataloader.dataset
    return [dataset.get_data_info(row) for row in range(len(dataset))]


def test_waiting_gradients_and_averages_end_with_the_round(tmp_path):
    given = options(labeller=dict(type='MoreAndMore'), optim_wrapper__accumulative_counts=4)
    hooks = [*given.pop('custom_hooks'), dict(type='EMAHook'), dict(type='GradientWitness')]
    runner = toy_runner(tmp_path / 'whole', custom_hooks=hooks, **given)
    runner.train()
    witness = hook_of(runner, GradientWitness)
    assert len(runner.train_dataloader) * 2 % 4, 'some gradients must wait at the end of a round'
    assert witness.gradients == [0., 0., 0.] and witness.averages == [True] * 3
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', custom_hooks=[*hooks, dict(type='StopAfter', iterations=-3)], **given).train()
    given = options(labeller=dict(type='MoreAndMore', first=5), optim_wrapper__accumulative_counts=4)
    given.pop('custom_hooks')
    toy_runner(tmp_path / 'parts', resume=True, custom_hooks=[
        dict(hooks[0], labeller=dict(type='MoreAndMore', first=5)), *hooks[1:]], **given).train()
    whole, parts = (read_checkpoint(tmp_path / folder / 'epoch_6.pth') for folder in ('whole', 'parts'))
    assert same(whole['state_dict'], parts['state_dict']) and same(whole['ema_state_dict'], parts['ema_state_dict'])


def test_a_phase_does_not_outlive_its_round(tmp_path):
    """An optimizer with options per parameter leaves out what is frozen when it is built."""
    phases = dict(type='PhaseHook', cycle=2, phases=[dict(name='all'), dict(name='head', begin=1, frozen=['backbone'])])
    given = options(optim_wrapper__paramwise_cfg=dict(norm_decay_mult=0.), optim_wrapper__optimizer__weight_decay=1e-4)
    runner = toy_runner(tmp_path, custom_hooks=[*given.pop('custom_hooks'), phases], **given)
    runner.train()
    starts = hook_of(runner, RoundWitness).starts
    assert len(starts) == 3
    known = {id(p) for group in runner.optim_wrapper.param_groups for p in group['params']}
    assert all(id(p) in known for p in runner.model.parameters())
    ends = read_checkpoint(tmp_path / 'round_3.pth')['state_dict']
    assert not torch.equal(ends['backbone.stem.0.weight'], starts[2]['backbone.stem.0.weight'])


def test_the_learning_rate_is_scaled_in_every_round(tmp_path):
    runner = toy_runner(tmp_path, auto_scale_lr=dict(enable=True, base_batch_size=2), **options())
    rates = []
    runner.register_hook(_Rates(rates), 'LOWEST')
    runner.train()
    base = toy_config('unused').optim_wrapper.optimizer.lr
    assert np.allclose(rates, 2 * base) and len(rates) == 3


class _Rates(Hook):

    def __init__(self, rates):
        self.rates = rates

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch % 2 == 0 and batch_idx == 0:
            self.rates += runner.optim_wrapper.get_lr()['lr'][:1]


def test_a_round_is_resumed_elsewhere(tmp_path):
    given = options()
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'first', **dict(given, custom_hooks=[
            *given['custom_hooks'], dict(type='StopAfter', iterations=-3)])).train()
    toy_runner(tmp_path / 'second', resume=True, load_from=str(tmp_path / 'first/epoch_3.pth'), **given).train()
    shutil.rmtree(tmp_path / 'second')
    (tmp_path / 'first/original.pth').unlink()
    with pytest.raises(CheckpointError, match='second/original.pth does not exist.*Copy original.pth of its work'):
        toy_runner(tmp_path / 'second', resume=True, load_from=str(tmp_path / 'first/epoch_3.pth'), **given).train()


def test_other_images_are_refused(tmp_path):
    toy_runner(tmp_path, **options(train_cfg__max_epochs=2)).train()
    with pytest.raises(CheckpointError, match='labels for other images than those of SyntheticReID'):
        toy_runner(tmp_path, resume=True, **options(data=dict(domain='b'))).train()


def test_another_seed_is_taken_back(tmp_path):
    given = options()
    toy_runner(tmp_path / 'whole', **given).train()
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', **dict(given, custom_hooks=[
            *given['custom_hooks'], dict(type='StopAfter', iterations=-3)])).train()
    toy_runner(tmp_path / 'parts', resume=True, randomness=dict(seed=77), **given).train()
    whole, parts = (read_checkpoint(tmp_path / folder / 'epoch_6.pth') for folder in ('whole', 'parts'))
    assert same(whole['state_dict'], parts['state_dict'])


def test_what_an_earlier_training_has_left_is_set_aside(tmp_path):
    toy_runner(tmp_path, **options()).train()
    toy_runner(tmp_path, **options(train_cfg__max_epochs=2)).train()
    assert sorted(path.name for path in tmp_path.glob('round_*.pth')) == ['round_1.pth']
    aside = {path.name.partition('.before_')[0] for path in tmp_path.glob('*.before_*')}
    assert {'round_1.pth', 'round_2.pth', 'round_3.pth', 'original.pth', 'rounds.json'} <= aside


def test_the_seed_of_the_training_reaches_the_labeller(tmp_path):
    runner = toy_runner(tmp_path, randomness=dict(seed=5), **options(train_cfg__max_epochs=2))
    runner.train()
    assert hook_of(runner, PseudoLabelHook).labeller.seed == 5


def test_the_model_before_the_first_round_is_in_the_record(tmp_path):
    given = options(train_cfg__max_epochs=2)
    given['custom_hooks'].append(dict(type='InitialEvaluationHook'))
    toy_runner(tmp_path, **given).train()
    record, = json.loads((tmp_path / 'rounds.json').read_text())
    assert record['initial_metrics'].keys() == record['metrics'].keys() and record['trained'] is True
