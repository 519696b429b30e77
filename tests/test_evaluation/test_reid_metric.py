"""ReIDMetric as mmengine's evaluator runs it, in one process and in two."""

import logging

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger

from mmreid.evaluation import ReIDMetric, evaluate_ranking
from mmreid.evaluation.metrics import feature_metric
from mmreid.evaluation.tables import text_table
from mmreid.registry import METRICS
from mmreid.structures import ReIDDataSample
from mmreid.utils.distributed import close_process_group

NUM_SAMPLES = 41


def make_samples(num_samples=NUM_SAMPLES, channels=8, seed=0):
    """Predicted samples, queries and gallery mixed, with junk and distractors."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(num_samples):
        split = 'query' if index % 3 == 1 else 'gallery'
        pid = int(rng.integers(1, 5) if split == 'query' else rng.integers(-1, 5))
        meta = dict(img_path=f'{index}.jpg', pid=pid, camid=int(rng.integers(0, 3)), split=split, sample_idx=index)
        feature = torch.from_numpy(rng.standard_normal(channels).astype(np.float32))
        samples.append(ReIDDataSample(metainfo=meta).set_feature(feature))
    return samples


def expected_metrics(samples, protocol='market1501', **kwargs):
    """The metrics straight from the function."""
    splits = [[s for s in samples if s.split == split] for split in ('query', 'gallery')]
    args = [np.stack([s.feature.numpy() for s in split]) for split in splits]
    for key in ('pid', 'camid'):
        args += [np.array([getattr(s, key) for s in split]) for split in splits]
    result = evaluate_ranking(*args, protocol=protocol, **{'metric': 'cosine', **kwargs})
    return {f'{protocol}/{key}': value for key, value in result.items() if not key.startswith('num_')}


def evaluate(metric, samples, batch_size=4, size=None):
    evaluator = Evaluator(metric)
    for start in range(0, len(samples), batch_size):
        evaluator.process(samples[start:start + batch_size])
    return evaluator.evaluate(len(samples) if size is None else size)


@pytest.fixture
def log(caplog):
    """What is logged through mmengine, which does not propagate."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    yield caplog
    logger.removeHandler(caplog.handler)


# ---- one process --------------------------------------------------------------------------------
def test_same_as_the_function():
    samples = make_samples()
    expected = {**expected_metrics(samples), **expected_metrics(samples, 'nd')}
    metric = METRICS.build(dict(type='ReIDMetric', protocols=['market1501', 'nd']))
    assert evaluate(metric, samples) == expected
    assert metric.results == []
    assert evaluate(metric, samples) == expected


def test_options():
    samples = make_samples()
    metric = ReIDMetric(protocols='nd', metric='euclidean', topk=3, prefix='target')
    expected = expected_metrics(samples, 'nd', metric='euclidean', topk=(3, ))
    assert evaluate(metric, samples) == {f'target/{key}': value for key, value in expected.items()}


def test_order_batches_and_repetition_do_not_matter():
    samples = make_samples()
    expected = evaluate(ReIDMetric(), samples)
    order = np.random.default_rng(0).permutation(len(samples))
    shuffled = [samples[i] for i in order]
    assert evaluate(ReIDMetric(), shuffled, batch_size=7) == expected
    assert evaluate(ReIDMetric(), shuffled + shuffled[:5], batch_size=3, size=len(samples)) == expected
    half = [s.clone() for s in samples]
    for sample in half:
        sample.set_feature(sample.feature.double())
    assert evaluate(ReIDMetric(), half) == expected


def test_post_processors():
    samples = make_samples()
    normalised = evaluate(ReIDMetric(metric='euclidean', post_processors=[dict(type='L2Normalize')]), samples)
    assert normalised == pytest.approx(expected_metrics(samples, metric='cosine'), abs=1e-5)
    seen = []

    def halve(data):
        seen.append((data.query.feats.shape, data.gallery.feats.shape))
        return data.map_feats(lambda feats: feats[:, :4])

    for sample in samples:
        sample.set_feature(torch.cat([sample.feature[:4], torch.full((4, ), 9.)]))
    result = evaluate(ReIDMetric(metric='euclidean', post_processors=[halve]), samples)
    for sample in samples:
        sample.set_feature(sample.feature[:4])
    assert result == expected_metrics(samples, metric='euclidean') and seen == [((14, 8), (27, 8))]


def test_dump(tmp_path):
    samples, path = make_samples(), tmp_path / 'new' / 'feats.npz'
    expected = evaluate(ReIDMetric(), samples)
    metric = ReIDMetric(dump=str(path), post_processors=[dict(type='L2Normalize')])
    assert evaluate(metric, samples) == pytest.approx(expected, abs=1e-5)
    written = dict(np.load(path))
    queries = [s for s in samples if s.split == 'query']
    assert (written['query_feats'] == torch.stack([s.feature for s in queries]).numpy()).all()
    assert written['query_sample_idx'].tolist() == [s.sample_idx for s in queries]
    assert written['query_paths'].tolist() == [s.img_path for s in queries]
    args = [written[f'{split}_{key}'] for key in ('feats', 'pids', 'camids') for split in ('query', 'gallery')]
    assert evaluate_ranking(*args, metric='cosine')['mAP'] == expected['market1501/mAP']


def test_features_survive_a_failed_evaluation(tmp_path, log):
    samples = make_samples()
    metric = ReIDMetric(post_processors=[dict(type='PCA', num_components=9)])
    metric.rescue = str(tmp_path / 'features.npz')
    with pytest.raises(ValueError, match='got 8 channels'):
        evaluate(metric, samples)
    assert len(np.load(tmp_path / 'features.npz')['query_feats']) == 14
    assert f'eval_features.py {tmp_path}/features.npz' in log.text


def test_an_unwritable_dump_does_not_stop_the_evaluation(tmp_path, log):
    (tmp_path / 'file').touch()
    samples = make_samples()
    assert evaluate(ReIDMetric(dump=str(tmp_path / 'file' / 'feats.npz')), samples) == evaluate(ReIDMetric(), samples)
    assert 'the features could not be written' in log.text


def test_logged_table(log):
    samples = make_samples()
    for sample in samples:
        if sample.split == 'query' and sample.pid == 1:
            sample.set_metainfo(dict(pid=99))  # nobody in the gallery
    lost = sum(s.pid == 99 for s in samples)
    assert lost
    result = evaluate(ReIDMetric(protocols=('market1501', 'nd')), samples)
    tables = [line for line in log.text.splitlines() if line.startswith('|')]
    lines, stages = tables[:4], tables[4:]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert rows[0] == ['protocol', 'metric', 'queries', 'gallery', 'junk', 'mAP', 'mINP', 'rank-1', 'rank-5', 'rank-10',
                       'rank-20']
    junk = sum(s.pid == -1 for s in samples)
    assert rows[2][:5] == ['market1501', 'cosine', f'{14 - lost}/14', '27', str(junk)]
    for row in rows[2:]:
        assert row[5:] == [f'{result[f"{row[0]}/{key}"]:.2f}' for key in rows[0][5:]]
    assert [row[0] for row in rows[2:]] == ['market1501', 'nd'] and len({len(line) for line in lines}) == 1
    assert [line.split()[1] for line in stages[2:]] == ['extraction', 'ranking']
    assert f'{lost:,} whose identity is not in the gallery' in log.text


def test_text_table():
    assert text_table(['a', 'bbb'], [['xyz', '1'], ['', '22']]).splitlines() == [
        '| a   | bbb |', '|-----|-----|', '| xyz |   1 |', '|     |  22 |']
    with pytest.raises(ValueError, match='2 cells'):
        text_table(['a', 'b'], [['x']])


# ---- errors -------------------------------------------------------------------------------------
def test_wrong_settings():
    with pytest.raises(ValueError, match='one of market1501, nd, .*got'):
        ReIDMetric(protocols=['market'])
    with pytest.raises(ValueError, match='different protocols'):
        ReIDMetric(protocols=['nd', 'nd'])
    with pytest.raises(ValueError, match='different protocols'):
        ReIDMetric(protocols=[])
    with pytest.raises(ValueError, match='got .l2.'):
        ReIDMetric(metric='l2')
    with pytest.raises(ValueError, match="dump .* ends in .npz, got 'feats.pkl'"):
        ReIDMetric(dump='feats.pkl')
    with pytest.raises(ValueError, match="report .* ends in .json, got 'report.txt'"):
        ReIDMetric(report='report.txt')
    with pytest.raises(ValueError, match='KReciprocalReRanking replaces features by distances: it must be the last'):
        ReIDMetric(post_processors=[dict(type='KReciprocalReRanking'), dict(type='L2Normalize')])
    with pytest.raises(ValueError, match="the device must be cpu, or cuda or cuda:N where there is one, got 'gpu'"):
        ReIDMetric(device='gpu')
    with pytest.raises(ValueError, match='topk must be'):
        ReIDMetric(topk=0)


def test_missing_split_or_samples():
    samples = make_samples()
    for split, other in (('query', 'gallery'), ('gallery', 'query')):
        metric = ReIDMetric()
        with pytest.raises(ValueError, match=f'no {split} image among'):
            evaluate(metric, [s for s in samples if s.split == other])
        assert metric.results == []
    with pytest.raises(ValueError, match='has 42 samples, but features came for 41'):
        evaluate(ReIDMetric(), samples, size=42)
    with pytest.raises(ValueError, match='must bring features'):
        ReIDMetric().evaluate(0)


def test_contradicting_samples():
    samples = make_samples()
    samples[7].set_metainfo(dict(sample_idx=4))
    with pytest.raises(ValueError, match='sample_idx must be unique.* 4 belongs to two images'):
        evaluate(ReIDMetric(), samples)


def test_wrong_fields():
    sample = make_samples()[0]
    sample.set_metainfo(dict(split='train'))
    with pytest.raises(ValueError, match="one of query, gallery, multi_query in evaluation, got 'train'"):
        evaluate(ReIDMetric(), [sample])
    with pytest.raises(ValueError, match='feature, camid is missing'):
        ReIDMetric().process(None, [dict(pid=1, split='query', sample_idx=0)])


def test_nan_features_are_named():
    samples = make_samples()
    samples[17].feature[3] = float('nan')
    with pytest.raises(ValueError, match='1 samples are NaN or infinite, sample_idx: 17'):
        evaluate(ReIDMetric(), samples)


# ---- two processes ------------------------------------------------------------------------------
def _run_rank(rank, world_size, folder, case):
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/init', rank=rank, world_size=world_size)
    samples = make_samples()
    if case == 'no gallery':
        samples = [s for s in samples if s.split == 'query']
    if case == 'empty rank':
        mine = samples if rank == 1 else []
    elif case == 'lengths':
        mine = make_samples(channels=4 + rank)
    else:  # as a sampler that wraps so that all ranks get as many
        indices = list(range(len(samples)))
        indices += indices[:-len(indices) % world_size]
        mine = [samples[i] for i in indices[rank::world_size]]
    metric = ReIDMetric(protocols=('market1501', 'nd'), dump=f'{folder}/feats.npz')
    for sample in mine:
        sample.set_metainfo(dict(img_path=f'folder/{sample.sample_idx}.jpg'))
    try:
        outcome = evaluate(metric, mine, size=len(samples))
    except ValueError as error:
        outcome = str(error)
    torch.save(outcome, f'{folder}/{rank}.pt')
    close_process_group()


@pytest.mark.parametrize('case', ['padded', 'empty rank', 'no gallery', 'lengths'])
def test_two_processes(tmp_path, case):
    mp.spawn(_run_rank, args=(2, str(tmp_path), case), nprocs=2)
    outcomes = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    if case == 'no gallery':
        assert all('no gallery image among the 14' in outcome for outcome in outcomes)
    elif case == 'lengths':
        assert all('got (rows, channels) = (41, 4), (41, 5)' in outcome for outcome in outcomes)
    else:
        assert NUM_SAMPLES % 2 == 1
        expected = evaluate(ReIDMetric(protocols=('market1501', 'nd')), make_samples())
        assert outcomes == [expected, expected]
        dumped = np.load(tmp_path / 'feats.npz')
        for split in ('query', 'gallery'):
            assert dumped[f'{split}_paths'].tolist() == [f'folder/{row}.jpg' for row in dumped[f'{split}_sample_idx']]


def test_rows_are_exchanged_on_the_device_of_the_group(monkeypatch):
    """A group of NCCL has no way for tensors of the CPU; "meta" stands for its device here."""
    devices = []

    def gather(piece):
        devices.append(piece.device.type)
        return [torch.full(piece.shape, number, dtype=piece.dtype) for number in (1, 2)]

    monkeypatch.setattr(feature_metric, 'all_gather', lambda shape: [shape, shape + torch.tensor([2, 0])])
    monkeypatch.setattr(feature_metric, 'gather', gather)
    monkeypatch.setattr(feature_metric, 'get_comm_device', lambda: torch.device('meta'))
    feats, ids = feature_metric.gather_rows(torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.int64))
    assert devices == ['meta', 'meta'] and feats.device.type == ids.device.type == 'cpu'
    expected = torch.tensor([[1.]] * 3 + [[2.]] * 5).expand(8, 4)
    assert torch.equal(feats, expected) and torch.equal(ids, expected.long())
