"""What choose_clusters reports, against the labellers themselves."""

import csv
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mmreid.datasets import PseudoLabelDataset
from mmreid.pseudo_labels import CameraNormalised, DensityClusters, SelfPacedKMeans, label_quality
from tests.test_analysis_tools.test_eval_features import run
from tests.test_engine.test_pseudo_labels import options
from tests.test_engine.toy import CONFIG, toy_config, toy_runner

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location('choose_clusters', ROOT / 'tools/analysis_tools/choose_clusters.py')
choose_clusters = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(choose_clusters)


def write(path, feats, pids):
    np.savez(path, train_feats=feats, train_pids=pids, train_camids=np.zeros_like(pids))
    return path


@pytest.fixture(scope='module')
def crowd():
    """Features behind a ReLU, around a centre for each of 12 people."""
    rng = np.random.default_rng(0)
    pids = rng.integers(0, 12, 160)
    feats = np.abs(rng.standard_normal((12, 16)))[pids] + .5 * rng.standard_normal((160, 16))
    return feats.astype(np.float32), pids


def call(capsys, *arguments, fails=False):
    if fails:
        with pytest.raises(SystemExit) as caught:
            choose_clusters.main(list(map(str, arguments)))
        return str(caught.value)
    choose_clusters.main(list(map(str, arguments)))
    return capsys.readouterr().out


@pytest.mark.parametrize('exemplar, select', [('own', 'own'), ('global', 'any')])
def test_thresholds_are_those_of_the_labeller(tmp_path, capsys, crowd, exemplar, select):
    """Each pair of K and lambda as if the labeller had been run for it alone."""
    feats, pids = crowd
    out, table = tmp_path / 'choice.json', tmp_path / 'choice.csv'
    printed = call(capsys, write(tmp_path / 'f.npz', feats, pids), '--num-clusters', 30, 6, 12, '--thresholds', .8, .95,
                   '--exemplar', exemplar, '--select', select, '--out', out, '--csv', table, '--device', 'cpu')
    sweep = json.loads(out.read_text())['sweep']
    assert [entry['num_clusters'] for entry in sweep] == [6, 12, 30]
    for entry in sweep:
        assert [row['threshold'] for row in entry['thresholds']] == [.8, .95]
        for row in (*entry['thresholds'], entry['as_pul']):
            found = SelfPacedKMeans(entry['num_clusters'], row['threshold'], exemplar=exemplar, select=select)(feats)
            expected = label_quality(found.labels, found.mask, pids)
            assert row['num_selected'] == found.mask.sum() and row['fraction'] == found.fraction
            for key in ('purity', 'pair_f'):  # JSON has no NaN: no pair to judge is None
                assert row[key] == expected[key] or row[key] is None and np.isnan(expected[key])
        assert entry['iterations'] == found.info['iterations'] and entry['inertia'] == found.info['inertia']
        sizes = np.bincount(found.labels)
        assert (entry['smallest'], entry['median'], entry['largest'], entry['singletons'], entry['clusters_alive']) == (
            sizes.min(), np.median(sizes), sizes.max(), (sizes == 1).sum(), len(sizes))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(int(row['num_clusters']), float(row['threshold']), float(row['fraction'])) for row in rows] == [
        (entry['num_clusters'], row['threshold'], row['fraction']) for entry in sweep for row in entry['thresholds']]
    assert 'Purity of the selected images' in printed and f'{sweep[0]["thresholds"][0]["fraction"]:.1%}' in printed


@pytest.mark.parametrize('more', [('--num-clusters', 9), ('--density', '--eps', .6, '--k1', 10)])
def test_cameras_of_the_clusters(tmp_path, capsys, crowd, more):
    feats, pids = crowd
    camids = np.random.default_rng(1).integers(0, 3, len(pids))
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=pids, train_camids=camids)
    printed = call(capsys, tmp_path / 'f.npz', *more, '--out', tmp_path / 'o.json')
    entry, = json.loads((tmp_path / 'o.json').read_text())['sweep']
    found = (DensityClusters(.6, k1=10) if more[0] == '--density' else SelfPacedKMeans(9, None))(feats)
    members = [camids[found.labels == label] for label in range(found.num_clusters)]
    assert entry['cameras_per_cluster'] == pytest.approx(np.mean([len(set(cameras)) for cameras in members]))
    assert entry['single_camera'] == pytest.approx(np.mean([len(set(c)) == 1 for c in members if len(c) > 1]))
    assert f'{entry["cameras_per_cluster"]:.2f}' in printed and f'{entry["single_camera"]:.0%}' in printed


def everybody_in_every_camera():
    """Cameras that move and stretch every channel far more than people differ."""
    rng = np.random.default_rng(4)
    pids, camids = np.repeat(np.arange(10), 12), np.tile(np.repeat(np.arange(3), 4), 10)
    clean = rng.standard_normal((10, 8))[pids] + .05 * rng.standard_normal((len(pids), 8))
    feats = clean * rng.uniform(.5, 3, (3, 8))[camids] + 10 * rng.standard_normal((3, 8))[camids]
    return feats.astype(np.float32), pids, camids


@pytest.mark.parametrize('more', [('--num-clusters', 10, '--thresholds', .7), ('--density', '--eps', .6, '--k1', 6)])
def test_the_look_of_the_cameras_taken_out(tmp_path, capsys, more):
    """What CameraNormalised around the same labeller finds."""
    feats, pids, camids = everybody_in_every_camera()
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=pids, train_camids=camids)
    inner = DensityClusters(.6, k1=6) if more[0] == '--density' else SelfPacedKMeans(10, .7)
    purity = {}
    for option, labeller in (('--camera-normalised', CameraNormalised(inner)), ('--no-camera-normalised', inner)):
        printed = call(capsys, tmp_path / 'f.npz', *more, option, '--out', tmp_path / 'o.json')
        written = json.loads((tmp_path / 'o.json').read_text())
        entry, = written['sweep']
        found = labeller(feats, camids)
        row = entry['thresholds'][0] if 'thresholds' in entry else entry
        assert row['num_selected'] == found.mask.sum()
        purity[option] = label_quality(found.labels, found.mask, pids)['purity']
        assert row['purity'] == purity[option]
        assert written['camera_normalised'] == ('for each camera by itself, 3 of them' in printed) == (
            option == '--camera-normalised')
    assert purity['--camera-normalised'] == 1 > purity['--no-camera-normalised']


def test_a_matrix_without_cameras(tmp_path, capsys, crowd):
    """Nothing is said of cameras that nobody knows; they cannot be taken out."""
    feats, pids = crowd
    np.save(tmp_path / 'f.npy', feats)
    (tmp_path / 'f.csv').write_text('split,pid\n' + ''.join(f'train,{pid}\n' for pid in pids))
    source = tmp_path / 'f.npy', '--labels', tmp_path / 'f.csv', '--num-clusters', 8
    call(capsys, *source, '--out', tmp_path / 'o.json')
    assert 'cameras_per_cluster' not in (tmp_path / 'o.json').read_text()
    refused = call(capsys, *source, '--camera-normalised', fails=True)
    assert 'come without' in refused and '--no-camera-normalised' in refused


@pytest.mark.parametrize('camids, message', [(0, 'have one number'), (-1, 'come without'), ([-1, 0], 'come without'),
                                             ([0] * 159 + [1], 'camera 1 has a single image')])
def test_a_file_whose_cameras_are_not_known(tmp_path, capsys, crowd, camids, message):
    feats, pids = crowd
    np.savez(tmp_path / 'f.npz', train_feats=feats, train_pids=pids, train_camids=np.resize(camids, len(pids)))
    arguments = tmp_path / 'f.npz', '--num-clusters', 8
    assert message in call(capsys, *arguments, '--camera-normalised', fails=True)
    if 'single' not in message:
        call(capsys, *arguments, '--out', tmp_path / 'o.json')
        assert 'cameras_per_cluster' not in (tmp_path / 'o.json').read_text()


NORMALISED = dict(type='CameraNormalised', labeller=dict(type='DensityClusters'))


@pytest.mark.parametrize('cfg, expected', [
    (dict(default_hooks=dict(pseudo_labels=dict(labeller=NORMALISED))), True),
    (dict(custom_hooks=[dict(type='PseudoLabelHook', labeller=NORMALISED)]), True),
    (dict(custom_hooks=[dict(labeller=dict(NORMALISED, type='mmreid.CameraNormalised'))]), True),
    (dict(custom_hooks=[dict(labeller=dict(NORMALISED, type=CameraNormalised))]), True),
    (dict(custom_hooks=[dict(labeller=dict(type='Outer', labeller=NORMALISED))]), True),
    (dict(default_hooks=dict(pseudo_labels=dict(labeller=NORMALISED['labeller']), other=None)), False),
    (dict(custom_hooks=None), False),
])
def test_where_a_config_says_so(cfg, expected):
    assert choose_clusters.normalises_cameras(cfg) is expected


def test_a_config_whose_cameras_are_not_known(tmp_path, capsys, monkeypatch):
    """Nothing is extracted before that is said."""
    source = toy_runner(tmp_path / 'source', train_cfg__max_epochs=1)
    torch.save(dict(state_dict=source.model.state_dict()), tmp_path / 'source.pth')
    labeller = dict(type='CameraNormalised', labeller=dict(type='DensityClusters', min_samples=2))
    toy_config(tmp_path / 'unused', **options(labeller=labeller)).dump(str(tmp_path / 'rounds.py'))
    monkeypatch.setattr(PseudoLabelDataset, 'pool_camids', lambda self: None)
    arguments = tmp_path / 'rounds.py', tmp_path / 'source.pth', '--density', '--k1', 5, '--k2', 2
    call(capsys, *arguments, '--no-camera-normalised', '--out', tmp_path / 'o.json')
    assert 'cameras_per_cluster' not in (tmp_path / 'o.json').read_text()
    monkeypatch.setattr(choose_clusters, 'extract_pool', lambda *args, **more: pytest.fail('features were extracted'))
    refused = call(capsys, *arguments, fails=True)
    assert 'come without' in refused and '--no-camera-normalised' in refused


def test_k_means_runs_once_for_each_number(tmp_path, capsys, monkeypatch, crowd):
    from mmreid.pseudo_labels import self_paced_kmeans
    numbers, real = [], self_paced_kmeans.kmeans

    def counted(feats, number, **more):
        numbers.append(number)
        return real(feats, number, **more)

    monkeypatch.setattr(self_paced_kmeans, 'kmeans', counted)
    call(capsys, write(tmp_path / 'f.npz', *crowd), '--num-clusters', 6, 12, 6)
    assert numbers == [6, 12]


def test_the_lambda_that_selects_as_much_as_pul(tmp_path, capsys, crowd):
    """It selects at least 31.8 %, and a hundredth more would select less."""
    feats, pids = crowd
    printed = call(capsys, write(tmp_path / 'f.npz', feats, pids), '--num-clusters', 8)
    threshold, share = re.search(r'^K 8: lambda ([\d.]+) selects ([\d.]+)%; PUL starts with 31.8%$', printed,
                                 flags=re.M).groups()
    shares = [SelfPacedKMeans(8, float(threshold) + step)(feats).fraction for step in (0, .01)]
    assert shares[0] >= .318 > shares[1] and f'{100 * shares[0]:.1f}' == share


def test_nothing_is_judged_where_nobody_is_known(tmp_path, capsys, crowd):
    feats, pids = crowd
    unknown = write(tmp_path / 'f.npz', feats, np.full_like(pids, -1))
    for more in (('--num-clusters', 8), ('--density', '--eps', .5)):
        printed = call(capsys, unknown, *more, '--out', tmp_path / 'o.json', '--csv', tmp_path / 'o.csv')
        assert 'nobody knows who is who' in printed
        for text in (printed, (tmp_path / 'o.json').read_text(), (tmp_path / 'o.csv').read_text()):
            assert not re.search('purity|pair', text, flags=re.I)


def test_density(tmp_path, capsys, crowd):
    feats, pids = crowd
    out, table = tmp_path / 'choice.json', tmp_path / 'choice.csv'
    printed = call(capsys, write(tmp_path / 'f.npz', feats, pids), '--density', '--eps', .5, .001, .3, '--k1', 10,
                   '--min-samples', 3, '--out', out, '--csv', table)
    sweep = json.loads(out.read_text())['sweep']
    assert [entry['eps'] for entry in sweep] == [.001, .3, .5]
    for entry in sweep:
        found = DensityClusters(entry['eps'], min_samples=3, k1=10)(feats)
        assert (entry['num_selected'], entry['clusters_alive'], entry['noise']) == (
            found.mask.sum(), found.num_clusters, (found.labels < 0).sum())
        if found.num_clusters:
            assert entry['purity'] == label_quality(found.labels, found.mask, pids)['purity']
    # All is noise: nothing to judge, and the reason tells which eps would find something.
    assert sweep[0]['purity'] is None and 'n/a' in printed
    assert 'eps 0.001: all 160 images are noise' in printed and 'The smallest eps at which one has' in printed
    assert len(table.read_text().splitlines()) == 4


def test_only_exemplars(tmp_path, capsys, crowd):
    printed = call(capsys, write(tmp_path / 'f.npz', *crowd), '--num-clusters', 8, '--thresholds', .9995, .9999)
    assert re.search(r'^\| 8 +\| +5.0%\* \| +5.0%\* \|$', printed, flags=re.M)
    assert 'no image but one of each of the 8 clusters is selected' in printed and 'Quantiles of the similar' in printed


def test_the_picture(tmp_path, capsys, crowd):
    feats, pids = crowd
    call(capsys, write(tmp_path / 'f.npz', feats, pids), '--num-clusters', 6, 12, '--out', tmp_path / 'o.json',
         '--plot', tmp_path / 'o.png')
    assert (tmp_path / 'o.png').read_bytes().startswith(b'\x89PNG')
    sweep = json.loads((tmp_path / 'o.json').read_text())['sweep']
    axes, = choose_clusters.figure_of(sweep).axes
    for line, entry in zip(axes.lines, sweep):
        assert line.get_label() == f'K = {entry["num_clusters"]}'
        assert line.get_xydata().tolist() == [[row['threshold'], 100 * row['fraction']] for row in entry['thresholds']]
    assert len(axes.lines) == 3 and axes.lines[2].get_ydata()[0] == pytest.approx(31.8)


@pytest.mark.parametrize('given, message', [
    (('--num-clusters', 8, 161), r'fewer images than clusters: 160 images, --num-clusters 161'),
    ((), r'fewer images than clusters: 160 images, --num-clusters 250'),
    (('--num-clusters', 1), 'num_clusters=1 gives all images one label'),
    (('--num-clusters', 8, '--thresholds', 1.2), 'must lie between -1 and 1'),
    (('--num-clusters', 8, '--eps', .5), 'belong to --density'),
    (('--density', '--num-clusters', 8), 'does not belong to --density'),
    (('--density', '--eps', 1), 'eps must lie between 0 and 1'),
    (('--density', '--k1', 160), 'k1 must be smaller than the 160 images'),
    (('--num-clusters', 8, '--split', 'query'), r'has no query features \(found: train\)'),
    (('--num-clusters', 8, '--csv', 'x.txt'), '--csv must name a file that ends in .csv'),
    (('source.pth', ), r'a checkpoint belongs to a config \*.py'),
])
def test_mistakes(tmp_path, capsys, crowd, given, message):
    assert re.search(message, call(capsys, write(tmp_path / 'f.npz', *crowd), *given, fails=True))


def test_features_that_cannot_be_clustered(tmp_path, capsys, crowd):
    feats, pids = crowd
    same = write(tmp_path / 'same.npz', np.ones_like(feats), pids)
    assert 'are equal, so there is nothing to cluster' in call(capsys, same, '--num-clusters', 8, fails=True)
    broken = write(tmp_path / 'nan.npz', np.where(np.arange(160)[:, None] == 7, np.nan, feats), pids)
    assert 'NaN or infinite features in 1 rows: 7' in call(capsys, broken, '--num-clusters', 8, fails=True)
    assert 'there is no file of features' in run('choose_clusters', tmp_path / 'none.npz', fails=True)


@pytest.mark.parametrize('normalised', [False, True])
def test_a_config_and_a_checkpoint(tmp_path, capsys, normalised):
    """The shares are those that the first round of the training then has."""
    source = toy_runner(tmp_path / 'source', train_cfg__max_epochs=1)
    source.train()
    checkpoint = tmp_path / 'source' / 'epoch_1.pth'
    labeller = dict(type='SelfPacedKMeans', num_clusters=5, threshold=.6)
    rounds = options(labeller=dict(type='CameraNormalised', labeller=labeller) if normalised else labeller,
                     train_cfg__max_epochs=2)
    config = tmp_path / 'rounds.py'
    toy_config(tmp_path / 'unused', **rounds).dump(str(config))
    printed = call(capsys, config, checkpoint, '--num-clusters', 5, '--thresholds', .6, '--out', tmp_path / 'o.json')
    runner = toy_runner(tmp_path / 'work', load_from=str(checkpoint), **rounds)
    runner.train()
    record = json.loads((tmp_path / 'work' / 'rounds.json').read_text())[0]
    row = json.loads((tmp_path / 'o.json').read_text())['sweep'][0]['thresholds'][0]
    assert (row['num_selected'], row['purity']) == (record['num_selected'], record['quality']['purity'])
    assert ('for each camera by itself, 2 of them' in printed) == normalised
    assert '24 images x 16 channels, 6 identities' in printed and not (tmp_path / 'unused').exists()


def test_configs_that_do_not_fit(tmp_path, capsys):
    ordinary = tmp_path / 'ordinary.py'
    ordinary.write_text(CONFIG.replace('WORKERS', '0'))
    assert 'does not train in rounds' in call(capsys, ordinary, 'x.pth', fails=True)
    rounds = tmp_path / 'rounds.py'
    toy_config(tmp_path / 'unused', **options()).dump(str(rounds))
    assert 'name the checkpoint of the source model' in call(capsys, rounds, fails=True)
    assert 'does not exist' in call(capsys, rounds, tmp_path / 'none.pth', fails=True)
    assert '--labels belongs to a matrix' in call(capsys, rounds, '--labels', 'x.csv', fails=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda(tmp_path, capsys, crowd):
    feats, pids = crowd
    call(capsys, write(tmp_path / 'f.npz', feats, pids), '--num-clusters', 12, '--thresholds', .8, '--device', 'cuda',
         '--out', tmp_path / 'o.json')
    found = SelfPacedKMeans(12, .8)(torch.from_numpy(feats).cuda())
    row = json.loads((tmp_path / 'o.json').read_text())['sweep'][0]['thresholds'][0]
    assert row['num_selected'] == found.mask.sum()
