"""What verification_scores reports, against rankings of the embeddings of the trained model."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmreid.evaluation import evaluate_distances, evaluate_ranking
from mmreid.registry import RUNNERS
from tests.test_engine.toy import toy_config

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location('verification_scores',
                                              ROOT / 'tools/analysis_tools/verification_scores.py')
verification_scores = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(verification_scores)


def build(folder, **heads):
    cfg = toy_config(folder / 'work')
    cfg.model.heads.update(heads)
    cfg.train_dataloader.update(batch_size=8, sampler=dict(type='PKSampler', num_pids=4, num_instances=2))
    cfg.train_cfg.update(max_epochs=1, val_interval=10)
    cfg.val_evaluator.metric = cfg.test_evaluator.metric = 'euclidean'
    path = folder / 'config.py'
    cfg.dump(str(path))
    return path, RUNNERS.build(Config.fromfile(path))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config with a verification head, its checkpoint, and the trained model with its test set."""
    folder = tmp_path_factory.mktemp('verification')
    path, runner = build(folder, ver=dict(type='VerificationHead', in_channels=16, hidden_channels=8, chunk_size=20))
    runner.train()
    samples, model = {'query': [], 'gallery': []}, runner.model.eval()
    with torch.no_grad():
        for batch in runner.build_dataloader(runner.cfg.test_dataloader):
            for sample in model.test_step(batch):
                samples[sample.split].append(sample)
    return path, folder / 'work' / 'epoch_1.pth', model, samples


def call(capsys, *arguments, fails=False):
    if fails:
        with pytest.raises(SystemExit) as caught:
            verification_scores.main(list(map(str, arguments)))
        return str(caught.value)
    verification_scores.main(list(map(str, arguments)))
    return capsys.readouterr().out


def ranking_inputs(samples):
    query, gallery = samples['query'], samples['gallery']
    return ([s.pid for s in query], [s.pid for s in gallery], [s.camid for s in query], [s.camid for s in gallery],
            'market1501')


@pytest.mark.parametrize('symmetric', [False, True])
def test_both_rankings(tmp_path, capsys, trained, symmetric):
    config, checkpoint, model, samples = trained
    out = tmp_path / 'scores.json'
    printed = call(capsys, config, checkpoint, '--out', out, '--work-dir', tmp_path,
                   *(['--symmetric'] if symmetric else []))
    result = json.loads(out.read_text())
    query, gallery = (torch.stack([s.feature for s in samples[split]]) for split in ('query', 'gallery'))
    layers = model.heads.ver.layers

    def odds(a, b):
        logits = layers(a - b).detach()
        return float(logits[1] - logits[0])

    distances = [[-(odds(q, g) + odds(g, q)) / 2 if symmetric else -odds(q, g) for g in gallery] for q in query]
    expected = {'SIR': evaluate_ranking(query, gallery, *ranking_inputs(samples), metric='euclidean'),
                'CIR': evaluate_distances(torch.tensor(distances), *ranking_inputs(samples))}
    for side, metrics in expected.items():
        for key in ('mAP', 'mINP', 'rank-1', 'rank-5'):
            assert result[side]['metrics'][f'market1501/{key}'] == pytest.approx(metrics[key], abs=1e-6)
        assert result[side]['seconds'] > 0
    assert result['ratio'] == pytest.approx(result['CIR']['seconds'] / result['SIR']['seconds'])
    assert (result['num_queries'], result['num_gallery']) == (len(query), len(gallery))
    assert f'{len(query)} queries x {len(gallery)} gallery images' in printed
    printed_row = re.search(r'^market1501/mAP, % +([\d.]+) +([\d.]+)$', printed, flags=re.M)
    assert [float(value) for value in printed_row.groups()] == pytest.approx(
        [expected['SIR']['mAP'], expected['CIR']['mAP']], abs=0.006)
    # 16 values in, 8 hidden units, two logits; a distance is one multiply-add for each of the 16 values.
    sums = (16 * 8 + 8 * 2) * (2 if symmetric else 1)
    assert result['multiply_adds'] == dict(SIR=16, CIR=sums)
    assert re.search(rf'^multiply-adds a pair +16 +{sums}$', printed, flags=re.M)
    assert f'times as long, with {sums / 16:.0f} times the multiply-adds a pair' in printed


def test_fewer_queries(tmp_path, capsys, trained):
    config, checkpoint, _, samples = trained
    printed = call(capsys, config, checkpoint, '--work-dir', tmp_path, '--num-queries', 3)
    assert f'3 queries x {len(samples["gallery"])} gallery images' in printed
    assert '--num-queries must be positive' in call(capsys, config, checkpoint, '--work-dir', tmp_path,
                                                    '--num-queries', 0, fails=True)


def test_models_and_arguments_that_do_not_fit(tmp_path, capsys, trained):
    config, checkpoint, *_ = trained
    message = call(capsys, config, checkpoint, '--work-dir', tmp_path, '--head', 'verify', fails=True)
    assert "no VerificationHead named 'verify'; those it has: ver on feat" in message
    without, _ = build(tmp_path)
    assert "no VerificationHead of its own on 'feat'; those it has: none" in call(
        capsys, without, checkpoint, '--work-dir', tmp_path, fails=True)
    contrastive, runner = build(tmp_path, ver=dict(type='VerificationHead', in_channels=16, loss='contrastive'))
    runner.train()
    assert 'times as long' in call(capsys, contrastive, tmp_path / 'work/epoch_1.pth', '--work-dir', tmp_path)
    assert '.json' in call(capsys, config, checkpoint, '--out', tmp_path / 'a.txt', fails=True)
    assert 'one device' in call(capsys, config, checkpoint, '--launcher', 'pytorch', fails=True)
    assert 'nowhere.pth' in call(capsys, config, tmp_path / 'nowhere.pth', '--work-dir', tmp_path, fails=True)
