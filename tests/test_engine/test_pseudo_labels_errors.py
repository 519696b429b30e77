"""What a training in rounds says where something is wrong with it, through short real trainings and their logs."""

import json
import re

import numpy as np
import pytest
import torch

from mmreid.datasets import SyntheticReID
from mmreid.engine.hooks import PseudoLabelError, PseudoLabelHook
from mmreid.pseudo_labels import PseudoLabeller, PseudoLabels, SelfPacedKMeans
from mmreid.registry import DATASETS, TASK_UTILS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from tests.test_engine.test_pseudo_labels import Interrupted, RoundWitness, hook_of, options
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

IMAGES = 24


def k_means(number, threshold=0.3, **more):
    return dict(type='SelfPacedKMeans', num_clusters=number, threshold=threshold, **more)


def log_of(work_dir):
    return '\n'.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def trained(work_dir, **given):
    runner = toy_runner(work_dir, **options(**given))
    runner.train()
    return runner


# ---- labels that say nothing -------------------------------------------------------------------------------------


def test_only_exemplars(tmp_path):
    """The log suggests a lambda; with it, about a third of the images is selected."""
    seen = []
    runner = toy_runner(tmp_path / 'first', **options(labeller=k_means(4, 0.9999), train_cfg__max_epochs=2))
    labeller = hook_of(runner, PseudoLabelHook).labeller
    original = labeller.label
    labeller.label = lambda feats, camids: seen.append(feats) or original(feats, camids)
    runner.train()
    text = log_of(tmp_path / 'first')
    line = re.search(r'WARNING - Round 1: no image but one of each of the 4 clusters is selected.*', text).group()
    quantiles = [float(value) for value in re.findall(r'\d+% (\d\.\d+)', line)]
    record, = json.loads((tmp_path / 'first' / 'rounds.json').read_text())
    assert record['num_selected'] == 4 and quantiles == sorted(quantiles) and len(quantiles) == 5
    suggested = float(re.search(r'threshold=([\d.]+) would select', line).group(1))
    selected = [SelfPacedKMeans(4, suggested + step)(seen[0]).mask.sum() for step in (0, .01)]
    assert selected[0] >= .32 * IMAGES > selected[1]
    assert f'would select {selected[0] / IMAGES:.0%}' in line
    trained(tmp_path / 'second', labeller=k_means(4, suggested), train_cfg__max_epochs=2)
    assert 'no image but one' not in log_of(tmp_path / 'second')


def test_all_is_noise(tmp_path):
    with pytest.raises(PseudoLabelError, match='round 1 selects none of 24 images: all 24 images are noise.*smallest '
                                               r'eps at which one has is 0\.\d+.*DensityClusters\(eps=0.001'):
        trained(tmp_path, labeller=dict(type='DensityClusters', eps=0.001))
    record, = json.loads((tmp_path / 'rounds.json').read_text())
    assert record['num_selected'] == 0 and 'all 24 images are noise' in record['reason']


@pytest.mark.parametrize('labeller, message', [
    (k_means(IMAGES + 1), r'round 1: there are fewer images than clusters: 24 images, num_clusters=25'),
    (dict(type='DensityClusters', k1=IMAGES), r'round 1: k1 must be smaller than the 24 images'),
])
def test_labellers_that_want_more_images(tmp_path, labeller, message):
    with pytest.raises(PseudoLabelError, match=message):
        trained(tmp_path, labeller=labeller)


def test_one_cluster(tmp_path):
    """Before anything is computed."""
    with pytest.raises(ValueError, match='num_clusters=1 gives all images one label.*choose at least 2'):
        toy_runner(tmp_path, **options(labeller=k_means(1)))


def test_less_than_a_batch(tmp_path):
    """Nothing would be trained, epoch after epoch."""
    with pytest.raises(PseudoLabelError, match='round 1 has 4 images to train on, less than one batch of 5'):
        trained(tmp_path / 'dropped', labeller=k_means(4, 0.9999), train_dataloader__batch_size=5)
    runner = trained(tmp_path / 'kept', labeller=k_means(4, 0.9999), train_dataloader__batch_size=5,
                     train_dataloader__drop_last=False, train_cfg__max_epochs=2)
    assert runner.iter == 2


# ---- the source ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A model trained with labels."""
    folder = tmp_path_factory.mktemp('source')
    toy_runner(folder, train_cfg__max_epochs=1).train()
    return folder / 'epoch_1.pth'


def test_a_source_whose_neck_does_not_fit(tmp_path, source):
    with pytest.raises(CheckpointError) as caught:
        trained(tmp_path, load_from=str(source), model__neck__feat_channels=8, model__heads__id__in_channels=8)
    assert re.search(r'neck\.reduction\.0\.weight is \(8, \d+\) here, \(16, \d+\) in the file', str(caught.value))
    assert not (tmp_path / 'rounds.json').exists()


def test_a_source_without_its_neck(tmp_path, source):
    state = read_checkpoint(source)
    state['state_dict'] = {key: value for key, value in state['state_dict'].items() if not key.startswith('neck.')}
    torch.save(state, tmp_path / 'source.pth')
    with pytest.raises(CheckpointError, match=r'missing: neck\.\S+ \(\d+'):
        trained(tmp_path / 'work', load_from=str(tmp_path / 'source.pth'))


def test_the_source_is_what_the_rounds_begin_with(tmp_path, source):
    trained(tmp_path, load_from=str(source), train_cfg__max_epochs=2)
    kept, expected = read_checkpoint(tmp_path / 'original.pth')['state_dict'], read_checkpoint(source)['state_dict']
    assert {key for key in expected if '.classifier.' not in key} == kept.keys()
    assert all(torch.equal(value, expected[key]) for key, value in kept.items())


# ---- labels are never read -----------------------------------------------------------------------------------------


@DATASETS.register_module()
class PoisonedReID(SyntheticReID):
    """Everything that names a person is garbage, except for some people whose classes are in use."""

    def filter_data(self):
        records, rng = super().filter_data(), np.random.default_rng(0)
        for record in records:
            record['drawn'] = record['pid']
            if self.num_labeled_ids is None or record['gt_label'] < 0:
                record['pid'] = int(rng.integers(10**6, 10**9))
                if self.num_labeled_ids is None:
                    record['gt_label'] = int(rng.integers(10**6))
        return records

    def load_image(self, info):
        return super().load_image(dict(info, pid=info['drawn']))


@pytest.mark.parametrize('more', [dict(), dict(keep_labels=True, data=dict(num_labeled_ids=2))])
def test_labels_of_the_pool_are_never_read(tmp_path, more):
    """Poisoned, they change what is reported and no bit of what is trained."""
    for name in ('SyntheticReID', 'PoisonedReID'):
        given = options(train_cfg__max_epochs=4, **more)
        given['train_dataloader__dataset']['dataset']['type'] = name
        toy_runner(tmp_path / name, **given).train()
    clean, poisoned = (tmp_path / name for name in ('SyntheticReID', 'PoisonedReID'))
    for checkpoint in ('round_1.pth', 'epoch_2.pth', 'round_2.pth'):
        left, right = (read_checkpoint(folder / checkpoint) for folder in (clean, poisoned))
        assert same(left['state_dict'], right['state_dict']), checkpoint
        assert same(left['pseudo_labels']['labels'], right['pseudo_labels']['labels'])
    left, right = (json.loads((folder / 'rounds.json').read_text()) for folder in (clean, poisoned))
    for one, other in zip(left, right, strict=True):
        assert one.pop('quality')['pair_recall'] != other.pop('quality')['pair_recall']  # it was poison
        assert one == other


# ---- resumed as something else -------------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path):
    """A training that was stopped inside its second round of three."""
    given = options()
    given['custom_hooks'] = [*given['custom_hooks'], dict(type='StopAfter', iterations=-3)]
    with pytest.raises(Interrupted):
        toy_runner(tmp_path, **given).train()
    return tmp_path


def go_on(work_dir, **given):
    runner = toy_runner(work_dir, resume=True, **options(**given))
    runner.train()
    return runner, json.loads((work_dir / 'rounds.json').read_text())


def test_resumed_as_it_was(stopped):
    _, records = go_on(stopped)
    assert len(records) == 3 and 'was written with' not in log_of(stopped)


@pytest.mark.parametrize('given, message', [
    (dict(labeller=k_means(6)),
     r'written with labeller SelfPacedKMeans\(num_clusters=4, threshold=0.3\), and now it is '
     r'SelfPacedKMeans\(num_clusters=6, threshold=0.3\). Round 2 has its labels already'),
    (dict(labeller=k_means(4, 0.5)), r'and now it is SelfPacedKMeans\(num_clusters=4, threshold=0.5\)'),
    (dict(labeller=dict(type='DensityClusters', min_samples=2)), r'and now it is DensityClusters\(min_samples=2\)'),
    (dict(hook=dict(restart='continue')), 'written with restart original, and now it is continue'),
])
def test_resumed_with_something_else(stopped, given, message):
    """The round goes on with its labels, the next one is labelled the new way; the log says so."""
    before = json.loads((stopped / 'rounds.json').read_text())
    runner, records = go_on(stopped, **given)
    assert re.search(f'WARNING.*{message}', log_of(stopped))
    assert [record['num_clusters'] for record in records[:2]] == [record['num_clusters'] for record in before]
    rows = {(row, label) for epoch, row, label in hook_of(runner, RoundWitness).batches if epoch < 4}
    assert rows and max(label for _, label in rows) < before[1]['num_clusters']
    if given.get('labeller', {}).get('num_clusters') == 6:
        assert [record['num_clusters'] for record in records] == [4, 4, 6]


def test_resumed_with_rounds_of_another_length(stopped):
    with pytest.raises(CheckpointError, match='written with epochs_per_round=2, and now it is 3: rounds would begin at '
                                              'other epochs. Resume with 2, or'):
        go_on(stopped, hook=dict(epochs_per_round=3))


# ---- the end of a training -----------------------------------------------------------------------------------------


@TASK_UTILS.register_module()
class TheSameEachRound(PseudoLabeller):
    """All but a few images, whatever the features are."""

    def label(self, feats, camids):
        return PseudoLabels(np.arange(len(feats)) % 2, np.arange(len(feats)) < 20)


def test_a_training_that_has_settled_stays_so(tmp_path):
    given = dict(labeller=dict(type='TheSameEachRound'), hook=dict(patience=1))
    first = trained(tmp_path, **given)
    assert first.epoch == 2
    before = read_checkpoint(tmp_path / 'epoch_2.pth')
    again, records = go_on(tmp_path, **given)
    assert again.epoch == 2 and len(records) == 2 and not (tmp_path / 'epoch_3.pth').exists()
    assert same(before['state_dict'], dict(again.model.state_dict()))
    patient, records = go_on(tmp_path, **dict(given, hook=dict(patience=None)))  # what was asked for counts
    assert patient.epoch == 6 and len(records) == 3


def test_more_rounds_than_first_planned(tmp_path):
    """As if so many had been planned from the beginning, also where the number of classes changes."""
    labeller = dict(type='DensityClusters', eps=0.5, min_samples=2, k1=6, k2=2)
    trained(tmp_path / 'whole', labeller=labeller)
    trained(tmp_path / 'parts', labeller=labeller, train_cfg__max_epochs=4)
    assert len(json.loads((tmp_path / 'parts' / 'rounds.json').read_text())) == 2
    _, records = go_on(tmp_path / 'parts', labeller=labeller)
    assert records == json.loads((tmp_path / 'whole' / 'rounds.json').read_text())
    assert len({record['num_clusters'] for record in records}) > 1
    whole, parts = (read_checkpoint(tmp_path / name / 'epoch_6.pth') for name in ('whole', 'parts'))
    assert same(whole['state_dict'], parts['state_dict']) and same(whole['optimizer'], parts['optimizer'])
