"""What choose_dictionary reports, against what it reports on."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mmreid.evaluation import evaluate_ranking
from mmreid.pseudo_labels import CrossCameraNeighbours, GraphDictionary
from mmreid.utils.checkpoint import write_checkpoint
from tests.test_engine.test_pseudo_labels import options
from tests.test_engine.toy import CONFIG, toy_config, toy_runner
from tests.test_pseudo_labels.test_graph_dictionary import distorted

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location('choose_dictionary', ROOT / 'tools/analysis_tools/choose_dictionary.py')
choose_dictionary = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(choose_dictionary)


@pytest.fixture(scope='module')
def crowd(tmp_path_factory):
    feats, camids, pids = distorted(0, people=24)
    pids[:2] = -1  # nobody knows
    path = tmp_path_factory.mktemp('crowd') / 'feats.npz'
    np.savez(path, train_feats=feats.astype(np.float32), train_pids=pids, train_camids=camids)
    return path, feats.astype(np.float32), camids, pids


def call(capsys, *arguments, fails=False):
    if fails:
        with pytest.raises(SystemExit) as caught:
            choose_dictionary.main(list(map(str, arguments)))
        return str(caught.value)
    choose_dictionary.main(list(map(str, arguments)))
    return capsys.readouterr().out


def expected_scores(feats, camids, pids, labeller):
    """As the labeller and an evaluation say, each by itself."""
    rows = np.asarray(labeller(feats, camids).info['neighbour_rows'])
    codes = feats if isinstance(labeller, CrossCameraNeighbours) else labeller.fit(feats, camids).codes
    ranked = evaluate_ranking(codes, codes, pids, pids, camids, camids, protocol='nd', topk=(1, ))
    judged = (rows != np.arange(len(rows))) & np.isin(pids, pids[rows == np.arange(len(rows))])
    return [100 * (pids[rows] == pids)[judged].mean(), ranked['rank-1'], ranked['mAP']]


def test_rows_are_what_the_labellers_find(tmp_path, capsys, crowd):
    path, feats, camids, pids = crowd
    out = tmp_path / 'choice.json'
    printed = call(capsys, '--features', path, '--weights', 3, .3, '--atoms', 10, '--seeds', 0, 1, '--out', out,
                   '--device', 'cpu')
    read = json.loads(out.read_text())
    assert [(row['atoms'], row['weight']) for row in read['rows']] == [(None, None), (10, .3), (10, 3.)]
    halves, people = [], np.unique(pids[pids >= 0])
    for seed in (0, 1):
        half = np.random.default_rng(seed).permutation(people)[:12]
        chosen = np.isin(pids, half)
        halves.append(set(half.tolist()))
        part = feats[chosen], camids[chosen], pids[chosen]
        for row in read['rows']:
            labeller = GraphDictionary(10, row['weight'], seed=seed) if row['atoms'] else CrossCameraNeighbours()
            entry = row['seeds'][seed]
            assert entry['images'] == chosen.sum() and entry['seed'] == seed
            assert [entry[key] for key in ('label_precision', 'rank-1', 'mAP')] == pytest.approx(
                expected_scores(*part, labeller))
    assert halves[0] != halves[1]
    for row in read['rows']:
        assert row['mAP'] == pytest.approx(np.mean([entry['mAP'] for entry in row['seeds']]))
    best = max(read['rows'][1:], key=lambda row: row['label_precision'])
    assert read['best'] == dict(weight=best['weight'], atoms=10) and not read['oracle']
    assert re.search(rf'^\| \* {best["weight"]:g} +\| +10 \| +{best["label_precision"]:.2f} ', printed, flags=re.M)
    assert 'ORACLE' not in printed and printed.count('* ') == 1


def test_oracle_says_so(tmp_path, capsys, crowd):
    path, feats, camids, pids = crowd
    out = tmp_path / 'choice.json'
    printed = call(capsys, '--features', path, '--weights', 1, '--atoms', 10, '--oracle', '--by', 'mAP', '--out', out)
    assert printed.count('ORACLE') == 2 and 'upper bound' in printed and 'all of these' in printed
    read = json.loads(out.read_text())
    known = pids >= 0
    assert read['oracle'] and read['rows'][1]['seeds'][0]['images'] == known.sum()
    assert read['rows'][1]['mAP'] == pytest.approx(
        expected_scores(feats[known], camids[known], pids[known], GraphDictionary(10, 1.))[2])


def test_a_config_of_the_source_and_one_of_the_target(tmp_path, capsys):
    source = toy_runner(tmp_path / 'source', train_cfg__max_epochs=1)
    source.train()
    checkpoint = tmp_path / 'source' / 'epoch_1.pth'
    config = tmp_path / 'source.py'
    config.write_text(CONFIG.replace('WORKERS', '0'))
    printed = call(capsys, config, checkpoint, '--weights', 1, '--atoms', 4)
    assert '24 images x 16 channels, 6 identities; half of these' in printed and 'The labels of' not in printed
    rounds = tmp_path / 'rounds.py'
    toy_config(tmp_path / 'unused', **options()).dump(str(rounds))
    assert 'whose labels must not choose lambda' in call(capsys, rounds, checkpoint, '--atoms', 4, fails=True)
    printed = call(capsys, rounds, checkpoint, '--weights', 1, '--atoms', 4, '--oracle')
    assert 'all of these' in printed and not (tmp_path / 'unused').exists()
    assert 'name the checkpoint' in call(capsys, config, '--atoms', 4, fails=True)


@pytest.mark.parametrize('given, message', [
    ((), 'give CONFIG and CHECKPOINT, or --features'),
    (('--weights', -1), r'weight \(lambda, of the graph\) must be'),
    (('--atoms', 0), 'num_atoms must be'),
    (('--atoms', 4, 145), r'--atoms 145, and the 144 images of half of the 24 identities \(seed 0\)'),
    (('--atoms', 287, '--oracle'), r'--atoms 287, and the 286 images of all of the 24 identities'),
    (('--atoms', 4, '--split', 'query'), r'has no query features \(found: train\)'),
    (('--out', 'x.txt'), '--out must name a file that ends in .json'),
    (('--anchor', 7, '--atoms', 4), 'no image is of that camera'),
])
def test_mistakes(capsys, crowd, given, message):
    files = ('--features', crowd[0]) if given else ()
    assert re.search(message, call(capsys, *files, *given, fails=True))


def test_too_few_people(tmp_path, capsys, crowd):
    _, feats, camids, pids = crowd
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=np.minimum(pids, 2), train_camids=camids)
    assert 'at least 4 identities' in call(capsys, '--features', tmp_path / 'f.npz', '--atoms', 4, fails=True)
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=pids)
    assert 'cameras of these images are not known' in call(capsys, '--features', tmp_path / 'f.npz', fails=True)
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=pids, train_camids=np.ones_like(camids))
    assert 'needs images of at least two cameras' in call(capsys, '--features', tmp_path / 'f.npz', fails=True)


def test_people_of_one_camera_are_left_out(tmp_path, capsys, crowd):
    """They have no right neighbour; the halves are of the others, as if they were not there."""
    _, feats, camids, pids = crowd
    lonely = (pids >= 20) & (camids == 2)
    kept, without = ~lonely, (pids < 20)
    choices = []
    for name, rows in (('with', kept), ('without', without)):
        np.savez(tmp_path / f'{name}.npz', train_feats=feats[rows], train_pids=pids[rows], train_camids=camids[rows])
        printed = call(capsys, '--features', tmp_path / f'{name}.npz', '--weights', 1, '--atoms', 8,
                       '--out', tmp_path / 'choice.json')
        choices.append(json.loads((tmp_path / 'choice.json').read_text()))
        assert f'20 identities; half of these, 1 seed(s); left out: {4 if name == "with" else 0} identities' in printed
        assert 'The labels of the images of this file choose lambda: they must be images of the source' in printed
    assert choices[0]['rows'] == choices[1]['rows'] and [made['left_out'] for made in choices] == [4, 0]
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=pids, train_camids=np.where(pids < 3, camids, 1))
    text = call(capsys, '--features', tmp_path / 'f.npz', '--atoms', 4, fails=True)
    assert 'whom more than one camera has seen, got 3 (21 are known from a single camera)' in text


def test_mistakes_are_found_before_anything_is_computed(tmp_path, capsys, crowd, monkeypatch):
    def computed(*args, **kwargs):
        raise AssertionError('something is computed')

    monkeypatch.setattr(choose_dictionary, 'extract_pool', computed)
    monkeypatch.setattr(choose_dictionary.GraphDictionary, 'fit', computed)
    assert '--atoms 145' in call(capsys, '--features', crowd[0], '--atoms', 4, 145, fails=True)
    config = tmp_path / 'source.py'
    config.write_text(CONFIG.replace('WORKERS', '0'))
    write_checkpoint(dict(state_dict={}, meta={}), tmp_path / 'source.pth')
    text = call(capsys, config, tmp_path / 'source.pth', '--atoms', 13, fails=True)
    assert '--atoms 13, and the 12 images of half of the 6 identities' in text
