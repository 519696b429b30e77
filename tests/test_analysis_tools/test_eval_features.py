"""Command-line tools that read and write features and reports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmreid.evaluation import evaluate_distances, evaluate_ranking, k_reciprocal_rerank
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[2]


def run(tool, *arguments, fails=False):
    done = run_tool(f'analysis_tools/{tool}', *arguments)
    assert (done.returncode != 0) == fails, done.stderr
    assert 'Traceback' not in done.stderr, done.stderr
    return done.stderr if fails else done.stdout


@pytest.fixture(scope='module')
def features(tmp_path_factory):
    """Clusters around identities, with junk and several images of each query."""
    rng = np.random.default_rng(0)
    centres, arrays = rng.standard_normal((13, 16)), {}
    for split, rows, lowest in (('query', 30, 1), ('gallery', 200, -1), ('multi_query', 900, 1)):
        arrays[f'{split}_pids'] = rng.integers(lowest, 13, rows)
        arrays[f'{split}_camids'] = rng.integers(0, 4, rows)
        arrays[f'{split}_feats'] = (centres[arrays[f'{split}_pids']] +
                                    rng.standard_normal((rows, 16))).astype(np.float32)
    path = tmp_path_factory.mktemp('features') / 'feats.npz'
    np.savez(path, **arrays)
    return path, arrays


def inputs(arrays):
    return [arrays[f'{split}_{key}'] for key in ('feats', 'pids', 'camids') for split in ('query', 'gallery')]


def test_protocols_and_files(features):
    path, arrays = features
    printed = run('eval_features', path, '--protocol', 'market1501', 'nd', 'cuhk03', '--metric', 'euclidean',
                  '--draws', 4, '--seed', 7, '--trapezoid', '--topk', 1, 3)
    read = json.loads(path.with_suffix('.eval.json').read_text())
    assert path.with_suffix('.eval.png').read_bytes().startswith(b'\x89PNG')
    assert list(read['protocols']) == ['market1501', 'nd', 'cuhk03'] and read['protocols']['cuhk03']['num_draws'] == 4
    for name in ('market1501', 'nd'):
        expected = evaluate_ranking(*inputs(arrays), protocol=name, topk=(1, 3), trapezoid=True)
        assert read['protocols'][name]['metrics'] == {key: pytest.approx(value) for key, value in expected.items()
                                                      if not key.startswith('num_')}
        assert f'{expected["mAP-trapezoid"]:.2f}' in printed


def test_all_steps(features, tmp_path):
    path, arrays = features
    out, plot = tmp_path / 'out' / 'report.json', tmp_path / 'curve.svg'
    run('eval_features', path, '--metric', 'cosine', '--drop-junk', '--multi-query', 'max', '--pca', 8, '--whiten',
        '--normalize', '--expand', 3, '--alpha', 0, '--rerank', '--k1', 10, '--k2', 3, '--lambda', 0.5, '--out', out,
        '--plot', plot)
    assert plot.read_text().lstrip().startswith('<?xml')
    steps = json.loads(out.read_text())['post_processing']
    assert [step.split('(')[0] for step in steps] == ['DropJunk', 'MultiQuery', 'PCA', 'L2Normalize', 'QueryExpansion',
                                                     'KReciprocalReRanking']
    assert 'whitened' in steps[2] and 'k=3, alpha=0' in steps[4] and 'k1=10, k2=3, lambda=0.5' in steps[5]


def test_re_ranking_and_junk(features, tmp_path):
    path, arrays = features
    feats, labels = inputs(arrays)[:2], inputs(arrays)[2:]
    run('eval_features', path, '--rerank', '--metric', 'euclidean', '--out', tmp_path / 'with.json')
    expected = evaluate_distances(k_reciprocal_rerank(*feats), *labels)
    assert json.loads((tmp_path / 'with.json').read_text())['protocols']['market1501']['metrics']['mAP'] == \
        pytest.approx(expected['mAP'])
    run('eval_features', path, '--rerank', '--metric', 'euclidean', '--drop-junk', '--out', tmp_path / 'without.json')
    keep = arrays['gallery_pids'] != -1
    expected = evaluate_distances(k_reciprocal_rerank(feats[0], feats[1][keep]), labels[0], labels[1][keep], labels[2],
                                  labels[3][keep])
    assert json.loads((tmp_path / 'without.json').read_text())['protocols']['market1501']['metrics']['mAP'] == \
        pytest.approx(expected['mAP'])


def test_splits(features, tmp_path):
    path, _ = features
    (tmp_path / 'splits.json').write_text('[[1, 2, 3], [4, 5, 6]]')
    splits = ('--splits', tmp_path / 'splits.json')
    run('eval_features', path, '--protocol', 'viper', *splits, '--out', tmp_path / 'r.json')
    assert json.loads((tmp_path / 'r.json').read_text())['protocols']['viper']['num_draws'] == 2


@pytest.mark.parametrize('arguments, message', [
    (['--protocol', 'cuhk'], "protocol must be one of market1501.*got 'cuhk'"),
    (['--pca', 400], 'at least as many channels and images, got 16 channels'),
    (['--rerank', '--k1', 400], 'k1 must be smaller than the 230 images'),
    (['--whiten'], '--whiten and --pca-fit belong to --pca'),
    (['--draws', 5], '--draws, --seed and --splits belong to protocols that draw'),
    (['--protocol', 'viper', '--splits', 'no.json'], '--splits needs a JSON file'),
    (['--pca', 4, '--pca-fit', 'no.npz'], 'there is no file of features no.npz'),
    (['--labels', 'labels.csv'], 'holds its labels itself'),
    (['--alpha', 2], '--alpha belongs to --expand'),
    (['--k1', 5], '--k1, --k2, --lambda and --variant belong to --rerank'),
    (['--out', 'report.txt'], '--out must name a file that ends in .json'),
    (['--plot', 'curve'], '--plot must name a file that ends in .png or .pdf or .svg'),
    (['--out', '/proc/report.json'], '--out: the folder /proc cannot be written to'),
    (['--device', 'gpu'], 'the device must be cpu, or cuda'),
])
def test_wrong_options(features, arguments, message):
    import re
    assert re.search(message, run('eval_features', features[0], *arguments, fails=True))


def test_outputs_replace_nothing(features, tmp_path):
    path, _ = features
    before = path.read_bytes()
    (tmp_path / 'splits.json').write_text('[[1, 2]]')
    splits = ('--protocol', 'viper', '--splits', tmp_path / 'splits.json')
    assert 'is an input or another output' in run('eval_features', path, *splits, '--out', tmp_path / 'splits.json',
                                                   fails=True)
    assert (tmp_path / 'splits.json').read_text() == '[[1, 2]]' and path.read_bytes() == before
    (tmp_path / 'folder.json').mkdir()
    assert 'is a folder' in run('eval_features', path, '--out', tmp_path / 'folder.json', fails=True)


def test_terminal_without_the_sign(features, tmp_path):
    """In a process of its own, as a user starts it."""
    environment = dict(os.environ, PYTHONIOENCODING='ascii', PYTHONUTF8='0')
    command = [sys.executable, str(ROOT / 'tools/analysis_tools/eval_features.py'), str(features[0]), '--protocol',
               'cuhk03', '--out', str(tmp_path / 'r.json')]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and ' ? ' in done.stdout and (tmp_path / 'r.json').exists()


def test_missing_queries(tmp_path):
    np.savez(tmp_path / 'feats.npz', gallery_feats=np.ones((3, 2), np.float32), gallery_pids=np.arange(3))
    assert 'has no query features (found: gallery)' in run('eval_features', tmp_path / 'feats.npz', fails=True)


def test_average_of_splits(features, tmp_path):
    path, arrays = features
    scores = []
    for number in range(3):
        shifted = dict(arrays, query_feats=arrays['query_feats'] + number)
        np.savez(tmp_path / f'{number}.npz', **shifted)
        run('eval_features', tmp_path / f'{number}.npz', '--out', tmp_path / f'{number}.json', '--pca', 8)
        scores.append(json.loads((tmp_path / f'{number}.json').read_text())['protocols']['market1501']['metrics'])
    files = [tmp_path / f'{number}.json' for number in range(3)]
    printed = run('average_results', *files, '--out', tmp_path / 'mean.json')
    result = json.loads((tmp_path / 'mean.json').read_text())['protocols']['market1501']
    for key in ('mAP', 'rank-1', 'mINP'):
        values = [score[key] for score in scores]
        assert result[key] == dict(mean=pytest.approx(np.mean(values)), std=pytest.approx(np.std(values)))
        assert f'{np.mean(values):.2f} ± {np.std(values):.2f}' in printed
    run('eval_features', tmp_path / '0.npz', '--out', tmp_path / 'other.json', '--metric', 'euclidean', '--pca', 8)
    assert 'has metric' in run('average_results', files[0], tmp_path / 'other.json', fails=True)
    run('eval_features', tmp_path / '0.npz', '--out', tmp_path / 'other.json', '--protocol', 'nd', '--pca', 8)
    assert "has the protocols ['nd']" in run('average_results', files[0], tmp_path / 'other.json', fails=True)
    assert 'a report is given twice' in run('average_results', files[0], files[0], fails=True)
    assert 'is an input' in run('average_results', *files, '--out', files[1], fails=True)
    (tmp_path / 'broken.json').write_text('{}')
    assert 'broken.json is no report' in run('average_results', files[0], tmp_path / 'broken.json', fails=True)
