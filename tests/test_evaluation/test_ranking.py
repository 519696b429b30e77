"""Ranking against an implementation written from the definition, one query after another."""

import math
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from mmreid.evaluation import PROTOCOLS, Protocol, evaluate_distances, evaluate_ranking
from mmreid.evaluation.functional import Labels, match_ranks
from mmreid.evaluation.functional.feature_distances import FeatureDistances
from mmreid.evaluation.functional.match_ranks import Ranking, default_num_threads, numpy_block_ranks, torch_block_ranks
from mmreid.utils import features
from mmreid.utils.distance import DISTANCES

KEPT = {
    'market1501': lambda q_pid, q_cam, pid, cam: pid != -1 and not (pid == q_pid and cam == q_cam),
    'nd': lambda q_pid, q_cam, pid, cam: pid != -1 and cam != q_cam,
    'all': lambda q_pid, q_cam, pid, cam: True,
}


def distance(a, b, metric):
    """Distance of two vectors, exact for small integers."""
    if metric == 'cosine':
        # Comparing signed squares of cosines in integers ties what is equal, without a rounding.
        dot = int(a @ b)
        return -math.copysign(dot * dot / int(b @ b), dot) if b.any() else 0.
    return float(((a - b)**2).sum())


def naive_scores(distances, q_pids, g_pids, q_cams, g_cams, protocol, topk):
    """Sort the whole gallery of every query and go down the list."""
    average_precisions, inverse_penalties, first_ranks = [], [], []
    for row, q_pid, q_cam in zip(distances, q_pids, q_cams):
        ranking = [(d, pid == q_pid) for d, pid, cam in zip(row, g_pids, g_cams)
                   if KEPT[protocol](q_pid, q_cam, pid, cam)]
        ranking.sort()  # (d, False) before (d, True)
        hits = [rank for rank, (_, match) in enumerate(ranking, 1) if match]
        if hits:
            average_precisions.append(sum((i + 1) / rank for i, rank in enumerate(hits)) / len(hits))
            inverse_penalties.append(len(hits) / hits[-1])
            first_ranks.append(hits[0])
    scores = {'mAP': 100 * np.mean(average_precisions), 'mINP': 100 * np.mean(inverse_penalties)}
    scores.update({f'rank-{k}': 100 * np.mean([rank <= k for rank in first_ranks]) for k in topk})
    return dict(scores, num_queries=len(q_pids), num_valid_queries=len(first_ranks))


def random_case(seed, queries=40, gallery=150, channels=3, ids=12, cameras=3, high=3):
    """Features with few different values (many equal distances), junk, distractors, identities of one camera."""
    rng = np.random.default_rng(seed)
    feats = [rng.integers(0, high, (n, channels)).astype(np.float32) for n in (queries, gallery)]
    pids = [rng.integers(1, ids + 1, queries), rng.integers(-1, ids + 1, gallery)]
    camids = [rng.integers(0, cameras, queries), rng.integers(0, cameras, gallery)]
    for pid in (1, 2):  # seen by one camera only: its queries have no match
        for split in range(2):
            camids[split][pids[split] == pid] = 0
    return [*feats, *pids, *camids]


def ranking_of(protocol, labels):
    """Everything that a protocol keeps, for all queries."""
    row = PROTOCOLS[protocol]
    return Ranking(row, row.junk(labels.gallery_pids), np.ones(len(labels.query_pids), bool))


def assert_same(result, expected, tolerance=1e-9):
    assert list(result) == list(expected)
    for key in expected:
        assert result[key] == pytest.approx(expected[key], abs=tolerance), key


# ---- against the definition ---------------------------------------------------------------------
@pytest.mark.parametrize('protocol', KEPT)
@pytest.mark.parametrize('metric', DISTANCES)
@pytest.mark.parametrize('seed', range(3))
def test_matches_definition(protocol, metric, seed):
    case = random_case(seed)
    if metric == 'cosine':  # one norm, so that products of integers are compared
        for split in range(2):
            case[split] = np.eye(3, dtype=np.float32)[case[split].astype(int).sum(1) % 3] * 2
    topk = (1, 2, 5, 10, 20, 1000)
    distances = [[distance(q, g, metric) for g in case[1]] for q in case[0]]
    expected = naive_scores(distances, *case[2:], protocol, topk)
    assert expected['num_valid_queries'] < expected['num_queries'] or protocol == 'all'
    result = evaluate_ranking(*case, protocol=protocol, metric=metric, topk=topk)
    assert_same(result, expected)
    assert isinstance(result['num_queries'], int) and isinstance(result['mAP'], float)
    tensors = [torch.from_numpy(values) for values in case]
    assert_same(evaluate_ranking(*tensors, protocol=protocol, metric=metric, topk=topk), expected)
    assert_same(evaluate_distances(np.array(distances), *case[2:], protocol=protocol, topk=topk), expected)


@pytest.mark.parametrize('protocol', KEPT)
def test_matches_definition_on_real_values(protocol):
    case = random_case(7, queries=30, gallery=200, channels=16)
    rng = np.random.default_rng(1)
    case[0], case[1] = rng.standard_normal((30, 16)), rng.standard_normal((200, 16))
    for metric in DISTANCES:
        q, g = case[0][:, None], case[1][None]
        distances = ((q - g)**2).sum(-1) if metric != 'cosine' else \
            1 - (q * g).sum(-1) / np.sqrt((q * q).sum(-1) * (g * g).sum(-1))
        expected = naive_scores(distances, *case[2:], protocol, (1, 5))
        assert_same(evaluate_ranking(*case, protocol=protocol, metric=metric, topk=(1, 5)), expected)


def test_by_eye():
    # Query: identity 7 of camera 1, at 0 on a line. Gallery by distance: the query's own camera (dropped), a
    # non-match at 2, a match at 3, junk at 4 (dropped), a distractor at 5 and a match at 5.
    gallery = [(1, 7, 1), (2, 8, 1), (3, 7, 2), (4, -1, 2), (5, 0, 3), (5, 7, 3)]
    position, pids, camids = (np.array(column) for column in zip(*gallery))
    feats = np.array([[0.]]), position[:, None].astype(float)
    # Ranks of the matches: 2 and 4.
    result = evaluate_ranking(*feats, [7], pids, [1], camids, topk=(1, 2))
    assert result == {'mAP': 50, 'mINP': 50, 'rank-1': 0, 'rank-2': 100, 'num_queries': 1, 'num_valid_queries': 1}
    # nd drops the non-match at 2 too, which camera 1 took. Ranks: 1 and 3.
    result = evaluate_ranking(*feats, [7], pids, [1], camids, protocol='nd', topk=1)
    assert result['mAP'] == pytest.approx(100 * (1 + 2 / 3) / 2) and result['rank-1'] == 100
    assert result['mINP'] == pytest.approx(100 * 2 / 3)


def test_protocol_can_be_added():
    everything = Protocol('all', 'drops nothing', excludes=lambda same_pid, same_camid: same_pid & False, junk_pids=())
    args = np.zeros((1, 1)), np.array([[0.], [1.], [2.]]), [7], [-1, 7, 7], [1], [2, 1, 2]
    assert evaluate_ranking(*args, protocol=everything)['mAP'] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)


# ---- what must not matter -----------------------------------------------------------------------
@pytest.mark.parametrize('protocol', KEPT)
def test_chunks_and_threads(protocol):
    case = random_case(3)
    expected = evaluate_ranking(*case, protocol=protocol)
    for chunk_size in (1, 7, 39, 40, 1000):
        for threads in (None, 1, 3):
            assert evaluate_ranking(*case, protocol=protocol, chunk_size=chunk_size, num_threads=threads) == expected


def test_chunks_on_real_values():
    case = random_case(4, queries=64, gallery=500, channels=64)
    rng = np.random.default_rng(0)
    case[0], case[1] = (rng.standard_normal((n, 64)).astype(np.float32) for n in (64, 500))
    expected = evaluate_ranking(*case)
    for chunk_size in (1, 5, 16, 63):
        assert_same(evaluate_ranking(*case, chunk_size=chunk_size), expected, tolerance=1e-5)


@pytest.mark.parametrize('protocol', KEPT)
def test_permutation_changes_nothing(protocol):
    case = random_case(5)
    expected = evaluate_ranking(*case, protocol=protocol)
    rng = np.random.default_rng(0)
    for _ in range(3):
        q, g = rng.permutation(len(case[0])), rng.permutation(len(case[1]))
        permuted = [values[order] for values, order in zip(case, (q, g, q, g, q, g))]
        assert_same(evaluate_ranking(*permuted, protocol=protocol), expected)


@pytest.mark.parametrize('metric', DISTANCES)
@pytest.mark.parametrize('kind', ['numpy', 'tensor block'])
@pytest.mark.parametrize('rows', [5, 17, 33])
def test_equal_features_tie_wherever_they_stand(metric, kind, rows):
    # A matrix product alone may give equal columns values that differ in the last bit, depending on where they stand.
    rng = np.random.default_rng(0)
    gallery = np.repeat(rng.standard_normal((1, 64)).astype(np.float32), rows, axis=0)
    query = rng.standard_normal((20, 64)).astype(np.float32)
    camids = np.full(rows, 2)
    for position in range(rows):
        pids = np.where(np.arange(rows) == position, 1, 2)
        labels = Labels(np.ones(20, int), pids, np.ones(20, int), camids)
        for chunk_size in (1, 3, 20):
            blocks = _blocks(query, gallery, metric, kind)
            ranking = ranking_of('market1501', labels)
            (_, ranks), = match_ranks.match_ranks(blocks, labels, [ranking], chunk_size)
            assert set(ranks) == {rows}


def _blocks(query, gallery, metric, kind):
    blocks = FeatureDistances(query, gallery, metric)
    return blocks if kind == 'numpy' else lambda start, stop: torch.from_numpy(blocks(start, stop))


def test_collapsed_network_gets_no_credit():
    case = random_case(6)
    case[0][:], case[1][:] = 0.3, 0.3
    result = evaluate_ranking(*case)
    assert result['rank-20'] == 0 and result['mINP'] < 20
    assert_same(result, naive_scores(np.zeros((40, 150)), *case[2:], 'market1501', (1, 5, 10, 20)))


def test_types():
    case = random_case(8)
    expected = evaluate_ranking(*case)
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64):
        feats = [torch.from_numpy(values).to(dtype) for values in case[:2]]
        assert evaluate_ranking(*feats, *case[2:]) == expected
    assert evaluate_ranking(torch.from_numpy(case[0]).requires_grad_(), *case[1:]) == expected
    assert evaluate_ranking(*[values.tolist() for values in case]) == expected
    strided = np.repeat(case[1], 2, axis=1)[:, ::2]
    assert evaluate_ranking(case[0], strided, *case[2:]) == expected
    assert evaluate_ranking(np.asfortranarray(case[0]), np.asfortranarray(case[1]), *case[2:]) == expected
    shifted = [*case[:2], *(values + (values > 0) * 2**40 for values in case[2:4]), *case[4:]]
    assert evaluate_ranking(*shifted) == expected


def test_inputs_are_not_changed():
    case = random_case(9)
    copies = [values.copy() for values in case]
    evaluate_ranking(*case)
    distances = np.random.default_rng(0).random((40, 150))
    before = distances.copy()
    evaluate_distances(distances, *case[2:])
    assert all((a == b).all() for a, b in zip(case, copies)) and (distances == before).all()


# ---- the two kernels ----------------------------------------------------------------------------
@pytest.mark.parametrize('protocol', KEPT)
@pytest.mark.parametrize('infinite', [False, True])
def test_kernels_agree(protocol, infinite, monkeypatch):
    case = random_case(10, ids=4)
    labels = Labels(*case[2:])
    block = np.random.default_rng(0).integers(0, 30, (40, 150)).astype(np.float32)
    if infinite:
        block[block > 20] = np.inf
    ranking = ranking_of(protocol, labels)
    before = block.copy()
    expected = numpy_block_ranks(block, labels, ranking)
    monkeypatch.setattr(match_ranks, 'SORT_FROM', 0)
    sorting = numpy_block_ranks(block, labels, ranking)
    on_device = torch_block_ranks(torch.from_numpy(block), labels.to_torch(torch.device('cpu')), ranking)
    assert (block == before).all()
    for counts, ranks in (sorting, on_device):
        assert (counts == expected[0]).all() and (ranks == expected[1]).all()
    result = evaluate_distances(block, *case[2:], protocol=protocol)
    assert_same(result, naive_scores(block, *case[2:], protocol, (1, 5, 10, 20)))


@pytest.mark.parametrize('metric', DISTANCES)
def test_tensor_path_on_the_cpu(metric, monkeypatch):
    # What a CUDA device would do, followed with CPU tensors.
    monkeypatch.setattr(features, 'as_float', torch.as_tensor)
    case = random_case(13)
    case[1][::10] = case[1][5]
    on_device = evaluate_ranking(torch.from_numpy(case[0]), *case[1:], metric=metric, chunk_size=9)
    monkeypatch.undo()
    assert_same(on_device, evaluate_ranking(*case, metric=metric), tolerance=1e-5)


def test_torch_kernel_without_any_match():
    labels = Labels(*(np.array(values) for values in ([1], [2, 3], [1], [1, 2])))
    ranking = ranking_of('market1501', labels)
    counts, ranks = torch_block_ranks(torch.zeros(1, 2), labels.to_torch(torch.device('cpu')), ranking)
    assert counts.tolist() == [0] and ranks.tolist() == []


def test_threads_need_long_rows():
    assert default_num_threads(100) == 1
    assert 1 <= default_num_threads(10**7) <= 8


def test_block_is_bounded(monkeypatch):
    sizes = []
    original = FeatureDistances.__call__

    def spy(self, start, stop):
        sizes.append(stop - start)
        return original(self, start, stop)

    monkeypatch.setattr(FeatureDistances, '__call__', spy)
    monkeypatch.setattr('mmreid.evaluation.functional.ranking.BLOCK_BYTES', {'cpu': 150 * 4 * 11})
    evaluate_ranking(*random_case(0))
    assert sizes == [10, 10, 10, 10]
    # Where memory is scarce, a block takes a share of it, but not so little that the product degenerates.
    sizes.clear()
    monkeypatch.setattr('mmreid.evaluation.functional.ranking.BLOCK_BYTES', {'cpu': 10**9})
    monkeypatch.setattr('mmreid.evaluation.functional.ranking.MIN_BLOCK_BYTES', 150 * 4 * 4)
    for available, rows in ((16 * 150 * 4 * 20, 20), (0, 4)):
        monkeypatch.setattr('mmreid.evaluation.functional.ranking.available_bytes',
                            Mock(return_value=available))
        evaluate_ranking(*random_case(0))
        assert set(sizes) == {rows}
        sizes.clear()


# ---- distances at hand --------------------------------------------------------------------------
def test_distances_in_pieces(tmp_path):
    case = random_case(11)
    distances = np.random.default_rng(0).random((40, 150)).astype(np.float32)
    expected = evaluate_distances(distances, *case[2:])
    assert evaluate_distances(torch.from_numpy(distances), *case[2:]) == expected
    assert evaluate_distances(lambda start, stop: distances[start:stop], *case[2:], chunk_size=9) == expected
    mapped = np.memmap(tmp_path / 'distances', np.float32, 'w+', shape=distances.shape)
    mapped[:] = distances
    assert evaluate_distances(mapped, *case[2:], chunk_size=16) == expected


def test_distance_errors():
    case = random_case(11)
    with pytest.raises(ValueError, match=r'shape \(40, 150\).*got \(150, 40\)'):
        evaluate_distances(np.zeros((150, 40)), *case[2:])
    with pytest.raises(ValueError, match=r'must have shape \(40, 150\), got \(40, 1\)'):
        evaluate_distances(lambda start, stop: np.zeros((stop - start, 1)), *case[2:])
    with pytest.raises(ValueError, match='query_camids must have 40 rows as the identities, got 1'):
        evaluate_distances(np.zeros((40, 150)), *case[2:4], [1], case[5])
    distances = np.zeros((40, 150))
    distances[31, 5] = np.nan
    with pytest.raises(ValueError, match='NaN in 1 rows: 31$'):
        evaluate_distances(distances, *case[2:], chunk_size=20)


# ---- errors -------------------------------------------------------------------------------------
@pytest.mark.parametrize('changes, message', [
    (dict(query_feats=np.zeros((2, 4), np.float32)), 'same number of channels, got 4 and 3'),
    (dict(query_feats=np.zeros(3, np.float32)), r'query_feats must have shape \(rows, channels\).*got \(3,\)'),
    (dict(gallery_feats=np.zeros((0, 3), np.float32)), r'gallery_feats must have shape.*got \(0, 3\)'),
    (dict(query_feats=np.zeros((2, 3))), 'same type, got float64 and float32'),
    (dict(query_feats=np.zeros((2, 3), complex)), 'real numbers, got type complex128'),
    (dict(query_feats=np.array([[0, 0, 0], [0, np.nan, 0]], np.float32)), 'query_feats has NaN.* in 1 rows: 1$'),
    (dict(gallery_feats=np.full((20, 3), np.inf, np.float32)), 'gallery_feats.*in 20 rows: 0, 1, .*9, ...'),
    (dict(query_pids=[1]), 'query_pids must have 2 rows as the features, got 1'),
    (dict(gallery_camids=[1, 2]), 'gallery_camids must have 20 rows as the features, got 2'),
    (dict(gallery_pids=np.zeros(20)), r'gallery_pids must be integers.*got float64 of shape \(20,\)'),
    (dict(query_camids=[[1], [1]]), r'query_camids must be integers.*got int64 of shape \(2, 1\)'),
    (dict(protocol='market'), "protocol must be one of market1501, nd, .*got 'market'; did you mean 'market1501'"),
    (dict(metric='l1'), "metric must be one of euclidean, sqeuclidean, cosine, got 'l1'"),
    (dict(topk=(1, 0)), r'topk must be .* at least 1, got \(1, 0\)'),
    (dict(topk=()), r'topk must be .*got \(\)'),
    (dict(chunk_size=0), 'chunk_size must be None or at least 1, got 0'),
    (dict(num_threads=-1), 'num_threads must be None or at least 1, got -1'),
    (dict(gallery_pids=np.full(20, 9)),
     'none of the 2 queries .* "market1501", which drops junk.*identity of 2 is not in .*No protocol fits'),
    (dict(query_camids=[2, 2]), "every positive of 2 shares the query's camera. Protocols that would fit: all"),
    (dict(query_camids=None), 'market1501 needs cameras, but query_camids is missing.*use the protocol: all'),
])
def test_errors(changes, message):
    args = dict(query_feats=np.zeros((2, 3), np.float32), gallery_feats=np.zeros((20, 3), np.float32),
                query_pids=[1, 2], gallery_pids=np.arange(20) % 3, query_camids=[1, 1],
                gallery_camids=np.full(20, 2))
    evaluate_ranking(**args)
    with pytest.raises(ValueError, match=message):
        evaluate_ranking(**{**args, **changes})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('metric', DISTANCES)
def test_cuda_agrees_with_cpu(metric):
    rng = np.random.default_rng(0)
    case = random_case(12, queries=100, gallery=1000)
    case[0], case[1] = (rng.standard_normal((n, 64)).astype(np.float32) for n in (100, 1000))
    expected = evaluate_ranking(*case, metric=metric)
    on_device = [torch.from_numpy(values).cuda() for values in case]
    assert_same(evaluate_ranking(*on_device, metric=metric), expected, tolerance=1e-5)
    assert_same(evaluate_ranking(on_device[0], *case[1:], metric=metric, chunk_size=33), expected, tolerance=1e-5)
