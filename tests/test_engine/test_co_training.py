"""Self-training and co-training in short real trainings."""

import json
import random

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from mmreid.engine.hooks import CoTrainingHook, PseudoLabelError, PseudoLabelHook
from mmreid.engine.recipes.evaluation import StageEvaluation
from mmreid.engine.recipes.training import StageTraining
from mmreid.pseudo_labels import PseudoLabeller, PseudoLabels, anchor_labels
from mmreid.pseudo_labels.dictionary import read_dictionary
from mmreid.registry import TASK_UTILS
from mmreid.utils.checkpoint import read_checkpoint
from tests.test_engine.test_phase_hook import WeightWitness, changed
from tests.test_engine.test_pseudo_labels import Interrupted, hook_of, options
from tests.test_engine.toy import toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

DICTIONARY = dict(type='GraphDictionary', num_atoms=4, weight=.5)
TWO_STEPS = dict(type='PhaseHook', cycle=2, phases=[
    dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )), dict(name='everything', begin=1)])


def rounds(labeller=DICTIONARY, kind='CoTrainingHook', epochs=4, hooks=(), hook=None, **more):
    """Options for rounds of two epochs."""
    given = options(labeller=labeller, hook=dict(dict(type=kind, restart='continue'), **(hook or {})),
                    train_cfg__max_epochs=epochs, **more)
    given['custom_hooks'] = [given['custom_hooks'][0], *hooks]
    return given


def records_of(folder):
    return json.loads((folder / 'rounds.json').read_text())


def watched(runner):
    """What each labelling sees and finds."""
    labeller, seen = hook_of(runner, PseudoLabelHook).labeller, []
    original = labeller.fit
    labeller.fit = lambda feats, camids: seen.append((np.array(feats), camids, original(feats, camids))) or seen[-1][2]
    return seen


def test_two_rounds(tmp_path):
    """Labels by the codes of the newest features; a record, a dictionary and both evaluations for each model."""
    runner = toy_runner(tmp_path, **rounds(hooks=[TWO_STEPS, dict(type='InitialEvaluationHook')]))
    seen = watched(runner)
    runner.train()
    source = hook_of(runner, CoTrainingHook)._dataset(runner).source
    pids, records = np.array([source.get_data_info(row)['pid'] for row in range(24)]), records_of(tmp_path)
    assert len(records) == 2 and len(seen) == 3
    for number, (record, (feats, camids, fit)) in enumerate(zip([*records, records[1]['after']], seen, strict=True)):
        dictionary = read_dictionary(tmp_path / f'dictionary_round_{number}.npz')
        assert np.array_equal(dictionary.atoms, fit.atoms) and dictionary.num_channels == 16
        (by_z, rows), (by_y, rows_y) = (anchor_labels(values, camids, 1) for values in (fit.codes, feats))
        others = camids != 1
        assert record['agreement'] == np.mean(by_z[others] == by_y[others])
        assert record['quality']['label_precision'] == np.mean(pids[rows[others]] == pids[others])
        assert record['quality']['feature_label_precision'] == np.mean(pids[rows_y[others]] == pids[others])
        assert record['quality']['anchor_coverage'] == 1  # everybody is in both cameras
        assert record['dictionary']['objective'] == fit.objective[-1] <= record['dictionary']['first_objective']
        assert record['dictionary']['iterations'] == fit.iterations and 'seconds' not in record['dictionary']
        if number < 2:
            assert record['anchor'] == 1 and record['num_clusters'] == 12 and 'neighbour_rows' not in record
    assert not np.allclose(seen[0][0], seen[1][0]) and not np.allclose(seen[1][0], seen[2][0])
    assert records[0]['initial_metrics'].keys() == records[0]['metrics'].keys() == records[1]['metrics'].keys()
    check_evaluation_of_codes(tmp_path, records[1]['metrics'])


def check_evaluation_of_codes(folder, noted):
    """``round_2.pth`` with ``dictionary_round_2.npz`` gives what the training has noted."""
    steps = [dict(type='DictionaryCodes', file=str(folder / 'dictionary_round_2.npz'))]
    runner = toy_runner(folder / 'test', load_from=str(folder / 'round_2.pth'), custom_hooks=[],
                        test_evaluator=ConfigDict(type='ReIDMetric', protocols=['market1501'], post_processors=steps),
                        train_dataloader__dataset=rounds()['train_dataloader__dataset'])
    metrics = runner.test()
    assert 'market1501/mAP' in metrics and metrics == {
        key.removeprefix('codes/'): value for key, value in noted.items() if key.startswith('codes/')}
    assert metrics != {key: value for key, value in noted.items() if not key.startswith('codes/')}


def test_a_stage_is_evaluated_by_its_codes(tmp_path):
    """From its checkpoint, as the training itself has evaluated; where the dictionary is that of other weights, not."""
    given = rounds(default_hooks__checkpoint__max_keep_ckpts=-1)
    given['default_hooks__rounds'] = given.pop('custom_hooks')[0]
    cfg = toy_config(tmp_path / 'stage', **given)
    with StageTraining(cfg, 'last') as training:
        training.run()
    found = {}
    for epoch in (2, 3, 4):
        with StageEvaluation(cfg, tmp_path / 'stage' / f'epoch_{epoch}.pth') as evaluation:
            found[epoch] = evaluation.run()
    assert found[4] == training.metrics and any(key.startswith('codes/') for key in found[4])
    assert found[2] == records_of(tmp_path / 'stage')[0]['metrics'] != found[4]
    assert found[3] and not any(key.startswith('codes/') for key in found[3])  # inside a round
    (tmp_path / 'stage' / 'dictionary_round_2.npz').unlink()
    with StageEvaluation(cfg, tmp_path / 'stage' / 'epoch_4.pth') as evaluation:
        assert evaluation.run() == {key: value for key, value in found[4].items() if not key.startswith('codes/')}


@pytest.mark.parametrize('stop', [8, -2])
def test_a_killed_round_resumes_bit_equal(tmp_path, stop):
    """Between two rounds and inside one; the first step of each trains the classifier alone."""
    every = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1) if stop > 0 else {}
    given = rounds(hooks=[TWO_STEPS, dict(type='WeightWitness')], train_cfg__val_interval=4, **every)
    whole = toy_runner(tmp_path / 'whole', **given)
    whole.train()
    stopped = dict(given, custom_hooks=[*given['custom_hooks'], dict(type='StopAfter', iterations=stop)])
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', **stopped).train()
    random.seed(99)
    torch.manual_seed(99)
    parts = toy_runner(tmp_path / 'parts', resume=True, **given)
    parts.train()
    check_steps(whole, 0)
    check_steps(parts, stop if stop > 0 else -stop * 6)
    names = sorted(path.name for path in (tmp_path / 'whole').glob('[ei]*.pth'))
    last = max(names, key=lambda name: int(''.join(filter(str.isdigit, name))))
    left, right = (read_checkpoint(tmp_path / folder / last) for folder in ('whole', 'parts'))
    for part in ('state_dict', 'optimizer', 'train_state'):
        assert same(left[part], right[part]), part
    assert records_of(tmp_path / 'whole') == records_of(tmp_path / 'parts')
    for number in range(3):
        left, right = (read_dictionary(tmp_path / folder / f'dictionary_round_{number}.npz').atoms
                       for folder in ('whole', 'parts'))
        assert np.array_equal(left, right)


def check_steps(runner, begin):
    """In the first of the two epochs of a round, only the classifying head moves; 6 batches an epoch."""
    seen = hook_of(runner, WeightWitness).seen
    assert len(seen) == 25 - begin and runner.iter == 24
    for iteration, (before, after) in enumerate(zip(seen[:-1], seen[1:], strict=True), begin):
        moved = changed(before, after)
        assert any(key.startswith('heads.id') for key in moved)
        assert any(not key.startswith('heads.id') for key in moved) == bool(iteration // 6 % 2), iteration


def test_subspace_only(tmp_path):
    """The dictionary of the model as it comes is learnt and evaluated; nothing is trained."""
    runner = toy_runner(tmp_path, **rounds(hook=dict(fit_only=True), hooks=[dict(type='InitialEvaluationHook')]))
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    assert same(before, runner.model.state_dict()) and runner.epoch == 0
    record, = records_of(tmp_path)
    assert record['trained'] is False and 'metrics' not in record
    assert {'market1501/mAP', 'codes/market1501/mAP'} <= record['initial_metrics'].keys()
    assert sorted(path.name for path in tmp_path.glob('dictionary_*')) == ['dictionary_round_0.npz']
    assert not list(tmp_path.glob('round_*.pth'))


def test_codes_are_evaluated_where_the_dictionary_is_of_the_model(tmp_path):
    """Not in the middle of a round."""
    runner = toy_runner(tmp_path, **rounds(epochs=2, train_cfg__val_interval=1))
    found = []
    runner.call_hook, original = lambda name, **given: (
        found.append(sorted(given['metrics'])) if name == 'after_val_epoch' else None, original(name, **given)), \
        runner.call_hook
    runner.train()
    assert [any(key.startswith('codes/') for key in keys) for keys in found] == [False, True]
    assert all('market1501/mAP' in keys for keys in found)


def test_dictionaries_of_an_earlier_training_are_set_aside(tmp_path):
    toy_runner(tmp_path, **rounds(epochs=2)).train()
    assert sorted(path.name for path in tmp_path.glob('dictionary_*')) == [
        'dictionary_round_0.npz', 'dictionary_round_1.npz']
    toy_runner(tmp_path, **rounds(hook=dict(fit_only=True))).train()
    assert sorted(path.name for path in tmp_path.glob('dictionary_*.npz')) == ['dictionary_round_0.npz']
    assert len(list(tmp_path.glob('dictionary_round_*.before_*'))) == 2


def test_self_training(tmp_path):
    """Rounds of any labeller with an anchor camera tell the precision of its labels."""
    runner = toy_runner(tmp_path, **rounds(dict(type='CrossCameraNeighbours'), 'PseudoLabelHook', hooks=[TWO_STEPS]))
    labeller, seen = hook_of(runner, PseudoLabelHook).labeller, []
    original = labeller.label
    labeller.label = lambda feats, camids: seen.append(original(feats, camids)) or seen[-1]
    runner.train()
    source = hook_of(runner, PseudoLabelHook)._dataset(runner).source
    pids = np.array([source.get_data_info(row)['pid'] for row in range(24)])
    for record, result in zip(records_of(tmp_path), seen, strict=True):
        rows, others = np.array(result.info['neighbour_rows']), source.get_camids() != 1
        assert record['quality']['label_precision'] == np.mean(pids[rows[others]] == pids[others])
        assert record['anchor'] == 1 and record['fraction'] == 1 and 'neighbour_rows' not in record
    assert not list(tmp_path.glob('dictionary_*'))


@TASK_UTILS.register_module()
class EachAlone(PseudoLabeller):
    """Every image is a class: no pair shows one person."""

    def label(self, feats, camids):
        return PseudoLabels(np.arange(len(feats)), np.ones(len(feats), dtype=bool))


@pytest.mark.parametrize('labeller', [dict(type='EachAlone'), dict(type='CrossCameraNeighbours')])
def test_classes_of_one_image_beside_a_verification_loss(tmp_path, labeller):
    verification = dict(type='VerificationHead', in_channels=16, hidden_channels=8, require_pairs=False)
    sampler = dict(_delete_=True, type='PKSampler', num_pids=4, num_instances=2)
    runner = toy_runner(tmp_path, model__heads__ver=verification, train_dataloader__sampler=sampler,
                        **rounds(labeller, 'PseudoLabelHook', epochs=2, hooks=[dict(type='WeightWitness')],
                                 train_dataloader__batch_size=8))
    runner.train()
    seen = hook_of(runner, WeightWitness).seen
    moved = set().union(*(changed(a, b) for a, b in zip(seen[:-1], seen[1:], strict=True)))
    assert any(key.startswith('heads.ver') for key in moved) == (labeller['type'] == 'CrossCameraNeighbours')
    assert any(key.startswith('backbone') for key in moved)


def test_a_batch_without_a_positive_pair_is_an_error_by_default(tmp_path):
    with pytest.raises(ValueError, match='needs a positive pair.*require_pairs=False'):
        toy_runner(tmp_path, model__heads__ver=dict(type='VerificationHead', in_channels=16),
                   **rounds(dict(type='EachAlone'), 'PseudoLabelHook')).train()


def test_wrong_labellers_and_images(tmp_path):
    with pytest.raises(ValueError, match='needs a labeller that learns a dictionary.*SelfPacedKMeans'):
        CoTrainingHook(dict(type='SelfPacedKMeans', num_clusters=4))
    with pytest.raises(PseudoLabelError, match='round 1: GraphDictionary needs images of at least two cameras'):
        toy_runner(tmp_path / 'a', **rounds(data=dict(num_cams=1))).train()
    with pytest.raises(PseudoLabelError, match='round 1: CrossCameraNeighbours needs images of at least two cameras'):
        toy_runner(tmp_path / 'b', **rounds(dict(type='CrossCameraNeighbours'), 'PseudoLabelHook',
                                            data=dict(num_cams=1))).train()
    with pytest.raises(PseudoLabelError, match='round 1: .*anchor=5, and no image is of that camera'):
        toy_runner(tmp_path / 'c', **rounds(dict(DICTIONARY, anchor=5))).train()


def test_codes_outside_of_a_training(tmp_path):
    """By the dictionary beside the checkpoint; after a training, of whose end nothing was loaded, not."""
    toy_runner(tmp_path, **rounds(epochs=2)).train()
    before = records_of(tmp_path)
    runner = toy_runner(tmp_path, load_from=str(tmp_path / 'round_1.pth'), **rounds(epochs=2))
    runner.load_or_resume()
    assert runner.val() == before[0]['metrics']
    assert not runner._train_loop.__class__.__name__.endswith('TrainLoop'), 'nothing of the training is built'
    trained = toy_runner(tmp_path / 'other', **rounds(epochs=2))
    trained.train()
    noted = records_of(tmp_path / 'other')
    assert any(key.startswith('codes/') for key in noted[0]['metrics'])
    assert not any(key.startswith('codes/') for key in trained.val())
    assert records_of(tmp_path / 'other') == noted


def test_averaged_weights_have_no_dictionary(tmp_path):
    """The evaluated weights are those of the EMA, and the dictionary is learnt from the others: warned of once."""
    toy_runner(tmp_path, **rounds(hooks=[dict(type='EMAHook', momentum=.5)])).train()
    records = records_of(tmp_path)
    assert len(records) == 2 and all('market1501/mAP' in record['metrics'] for record in records)
    assert not any(key.startswith('codes/') for record in records for key in record['metrics'])
    log, = tmp_path.glob('*/*.log')
    assert log.read_text().count('The codes are not evaluated: the weights that are evaluated are the averages') == 1


def test_a_finished_training_that_goes_on_has_the_records_of_a_longer_one(tmp_path):
    """What the last record of the shorter one said about its end is not said of a round in the middle."""
    given = rounds(epochs=6, hooks=[dict(type='InitialEvaluationHook')])
    toy_runner(tmp_path / 'whole', **given).train()
    toy_runner(tmp_path / 'parts', **dict(given, train_cfg__max_epochs=4)).train()
    ended = records_of(tmp_path / 'parts')
    assert [('after' in record) for record in ended] == [False, True]
    toy_runner(tmp_path / 'parts', resume=True, **given).train()
    whole = records_of(tmp_path / 'whole')
    assert [('after' in record) for record in whole] == [False, False, True]
    assert (tmp_path / 'whole/rounds.json').read_bytes() == (tmp_path / 'parts/rounds.json').read_bytes()
    assert ended[1]['after']['agreement'] == whole[2]['agreement']


def test_a_dictionary_under_plain_rounds_leaves_no_clock_in_the_records(tmp_path):
    for folder in ('a', 'b'):
        toy_runner(tmp_path / folder, **rounds(kind='PseudoLabelHook', epochs=2)).train()
    assert (tmp_path / 'a/rounds.json').read_bytes() == (tmp_path / 'b/rounds.json').read_bytes()
    assert 'seconds' not in records_of(tmp_path / 'a')[0]['dictionary']
