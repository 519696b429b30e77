"""Rounds of pseudo labels in short real trainings."""

import json
import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmreid.engine.hooks import PseudoLabelError, PseudoLabelHook
from mmreid.pseudo_labels import PseudoLabeller, PseudoLabels
from mmreid.registry import HOOKS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from tests.test_engine.toy import toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

LABELLER = dict(type='SelfPacedKMeans', num_clusters=4, threshold=0.3)


def options(labeller=LABELLER, keep_labels=False, data=None, hook=None, **more):
    """Options of the toy training for rounds of two epochs."""
    cfg = toy_config('unused').to_dict()
    train = cfg['train_dataloader']['dataset']
    pipeline = train.pop('pipeline')
    dataset = dict(_delete_=True, type='PseudoLabelDataset', dataset=dict(train, **(data or {})), pipeline=pipeline,
                   test_pipeline=cfg['val_dataloader']['dataset']['pipeline'], keep_labels=keep_labels)
    rounds = dict(type='PseudoLabelHook', labeller=labeller, epochs_per_round=2, patience=None, batch_size=8,
                  num_workers=0)
    return dict(dict(train_dataloader__dataset=dataset, train_dataloader__batch_size=4, train_cfg__max_epochs=6,
                     train_cfg__val_interval=2, param_scheduler=[dict(type='ConstantLR', factor=1.0)],
                     custom_hooks=[dict(rounds, **(hook or {})), dict(type='RoundWitness')]), **more)


@HOOKS.register_module()
class RoundWitness(Hook):
    """What a round starts with, and what it trains on."""
    priority = 'LOWEST'

    def __init__(self):
        self.starts, self.batches = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch % 2 == 0 and batch_idx == 0:
            self.starts.append({key: value.clone() for key, value in runner.model.state_dict().items()})
        self.batches += [(runner.epoch, sample.sample_idx, sample.label) for sample in data_batch['data_samples']]


def hook_of(runner, kind):
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def optimizer_steps(runner):
    return {id(p): p for group in runner.optim_wrapper.param_groups for p in group['params']}


def test_each_round_starts_from_the_original_with_a_fresh_classifier(tmp_path):
    runner = toy_runner(tmp_path, **options())
    runner.train()
    starts = hook_of(runner, RoundWitness).starts
    assert len(starts) == 3
    for start in starts[1:]:
        for key, value in start.items():
            if '.classifier.' not in key:
                assert torch.equal(value, starts[0][key]), key
    weights = [start['heads.id.classifier.weight'] for start in starts]
    assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in zip(weights[:-1], weights[1:], strict=True))
    known = optimizer_steps(runner)
    assert all(id(p) in known for p in runner.model.parameters())  # the fresh classifier is trained, too
    assert read_checkpoint(tmp_path / 'original.pth')['state_dict'].keys() <= starts[0].keys()


def test_going_on_instead(tmp_path):
    runner = toy_runner(tmp_path, **options(hook=dict(restart='continue')))
    runner.train()
    starts = hook_of(runner, RoundWitness).starts
    after = read_checkpoint(tmp_path / 'epoch_2.pth')['state_dict']
    for key, value in starts[1].items():
        if '.classifier.' not in key:
            assert torch.equal(value, after[key]), key
    assert not torch.equal(starts[1]['backbone.stem.0.weight'], starts[0]['backbone.stem.0.weight'])


def test_trains_on_what_the_labeller_selected(tmp_path):
    runner = toy_runner(tmp_path, **options())
    seen = []
    labeller = hook_of(runner, PseudoLabelHook).labeller
    original = labeller.label
    labeller.label = lambda feats, camids: seen.append(original(feats, camids)) or seen[-1]
    runner.train()
    batches = hook_of(runner, RoundWitness).batches
    for number, result in enumerate(seen):
        rows = {(row, label) for epoch, row, label in batches if epoch // 2 == number}
        expected = {(row, label) for row, label in enumerate(result.labels.tolist()) if result.mask[row]}
        assert rows <= expected and len(rows) >= len(expected) - 3  # drop_last
    records = json.loads((tmp_path / 'rounds.json').read_text())
    assert [record['round'] for record in records] == [1, 2, 3]
    for record, result in zip(records, seen, strict=True):
        assert record['num_selected'] == int(result.mask.sum()) and 0 <= record['quality']['purity'] <= 1
        assert 'market1501/mAP' in record['metrics']


@TASK_UTILS.register_module()
class FeatureWitness(PseudoLabeller):
    """Two halves without the first ``skipped`` images; keeps what it was given."""

    given = []

    def __init__(self, skipped=0):
        self.skipped = skipped

    def label(self, feats, camids):
        type(self).given.append((torch.as_tensor(feats).clone(), camids))
        labels = np.arange(len(feats)) % 2
        return PseudoLabels(labels, np.arange(len(feats)) >= self.skipped)


def test_features_are_those_of_evaluation(tmp_path):
    """Each image alone, in evaluation mode, under the test pipeline."""
    FeatureWitness.given = []
    runner = toy_runner(tmp_path, **options(labeller=dict(type='FeatureWitness'), train_cfg__max_epochs=2))
    network = runner.model.eval()
    runner.train()
    feats, camids = FeatureWitness.given[0]
    source = hook_of(runner, PseudoLabelHook)._dataset(runner)
    view = source.pool_view()
    network.load_state_dict(read_checkpoint(tmp_path / 'original.pth')['state_dict'], strict=False)
    network.eval()
    with torch.no_grad():
        for row in range(len(view)):
            batch = network.data_preprocessor(dict(inputs=[view[row]['inputs']],
                                                   data_samples=[view[row]['data_samples']]))
            alone = network(batch['inputs'], mode='tensor')['feat'][0]
            assert torch.allclose(alone, feats[row], atol=1e-5)
    assert camids.tolist() == source.source.get_camids().tolist()


class Interrupted(Exception):
    pass


@HOOKS.register_module()
class StopAfter(Hook):
    """Stop like a crash, after the checkpoint of an iteration."""
    priority = 'LOWEST'

    def __init__(self, iterations):
        self.iterations = iterations

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iterations:
            raise Interrupted

    def after_train_epoch(self, runner):
        if -self.iterations == runner.epoch + 1:
            raise Interrupted


@pytest.mark.parametrize('restart', ['original', 'continue'])
@pytest.mark.parametrize('stop', [7, -2, -3])
def test_a_killed_round_resumes_bit_equal(tmp_path, stop, restart):
    every = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1) if stop > 0 else {}
    given = options(hook=dict(restart=restart), **every)
    toy_runner(tmp_path / 'whole', **given).train()
    stopped = dict(given, custom_hooks=[*given['custom_hooks'], dict(type='StopAfter', iterations=stop)])
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', **stopped).train()
    random.seed(99)
    torch.manual_seed(99)
    toy_runner(tmp_path / 'parts', resume=True, **given).train()
    names = sorted(path.name for path in (tmp_path / 'whole').glob('[ei]*.pth'))
    last = max(names, key=lambda name: int(''.join(filter(str.isdigit, name))))
    whole, parts = (read_checkpoint(tmp_path / folder / last) for folder in ('whole', 'parts'))
    for part in ('state_dict', 'optimizer', 'train_state'):
        assert same(whole[part], parts[part]), part
    left, right = (json.loads((tmp_path / folder / 'rounds.json').read_text()) for folder in ('whole', 'parts'))
    assert left == right


def test_labelled_people_join_every_round(tmp_path):
    runner = toy_runner(tmp_path, **options(keep_labels=True, data=dict(num_labeled_ids=2)))
    runner.train()
    dataset = hook_of(runner, PseudoLabelHook)._dataset(runner)
    known = set(dataset.labelled_rows.tolist())
    assert known and known <= set(dataset.get_rows().tolist())
    assert runner.model.heads['id'].num_classes == dataset.metainfo['num_classes']


def test_training_ends_when_the_selection_has_settled(tmp_path):
    given = options(labeller=dict(type='FeatureWitness', skipped=4), hook=dict(patience=1), train_cfg__val_interval=3)
    runner = toy_runner(tmp_path, **given)
    runner.train()
    assert runner.epoch == 2  # the second round would select as many images as the first
    records = json.loads((tmp_path / 'rounds.json').read_text())
    assert [record['trained'] for record in records] == [True, False]
    assert 'market1501/mAP' in records[0]['metrics']  # what has ended early is validated, too
    resumed = toy_runner(tmp_path, resume=True, **given)
    resumed.train()
    assert resumed.epoch == 2


def test_without_selection_nothing_settles(tmp_path):
    runner = toy_runner(tmp_path, **options(labeller=dict(type='FeatureWitness'), hook=dict(patience=1)))
    runner.train()
    assert runner.epoch == 6


@TASK_UTILS.register_module()
class Nothing(PseudoLabeller):

    def label(self, feats, camids):
        return PseudoLabels(np.full(len(feats), -1), np.zeros(len(feats), dtype=bool), dict(reason='all is noise'))


def test_a_round_without_images_stops_with_the_reason(tmp_path):
    with pytest.raises(PseudoLabelError, match='round 1 selects none of 24 images: all is noise'):
        toy_runner(tmp_path, **options(labeller=dict(type='Nothing'))).train()


def test_fewer_images_than_clusters(tmp_path):
    with pytest.raises(PseudoLabelError, match='round 1: .*25'):
        toy_runner(tmp_path, **options(labeller=dict(type='SelfPacedKMeans', num_clusters=25))).train()


def test_another_original_is_noticed(tmp_path):
    toy_runner(tmp_path, **options(train_cfg__max_epochs=2)).train()
    path = tmp_path / 'original.pth'
    state = torch.load(path, weights_only=True)
    state['state_dict']['backbone.stem.0.bias'] += 1
    torch.save(state, path)
    with pytest.raises(CheckpointError, match='original.pth has another hash'):
        toy_runner(tmp_path, resume=True, **options()).train()


def test_resuming_something_else(tmp_path):
    toy_runner(tmp_path).train()
    with pytest.raises(CheckpointError, match='no pseudo labels'):
        toy_runner(tmp_path, resume=True, **options()).train()


@pytest.mark.parametrize('hook, message', [
    (dict(epochs_per_round=0), 'at least 1'),
    (dict(restart='never'), 'one of original, continue'),
    (dict(tolerance=1), 'share of the pool'),
    (dict(patience=0), 'at least 1, or None'),
])
def test_arguments_that_make_no_sense(hook, message):
    with pytest.raises(ValueError, match=message):
        PseudoLabelHook(LABELLER, **hook)


def test_ordinary_data_are_refused(tmp_path):
    hook = options()['custom_hooks']
    with pytest.raises(ValueError, match='needs a PseudoLabelDataset'):
        toy_runner(tmp_path, custom_hooks=hook).train()


def test_rounds_must_fit_the_epochs(tmp_path):
    with pytest.raises(ValueError, match='max_epochs=5 must be a multiple'):
        toy_runner(tmp_path, **options(train_cfg__max_epochs=5)).train()
