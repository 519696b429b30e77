"""Re-ranking against k-reciprocal encoding with Python sets.

Most features are integers: squared distances are exact in float32 then, so that neighbours are ordered alike on every
machine and equal distances are equal.
"""

import numpy as np
import pytest
import torch

from mmreid.evaluation import evaluate_distances, evaluate_ranking, k_reciprocal_rerank
from mmreid.utils import k_reciprocal, nearest
from tests.test_evaluation.oracles import naive_jaccard, naive_k_reciprocal, square_distances


def integer_case(seed, queries=10, gallery=40, high=1000, channels=3, clusters=8, spread=100):
    """Clustered integer features; squared distances stay below 2**24."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, high, (clusters, channels))
    feats = [centres[rng.integers(0, clusters, rows)] + rng.integers(0, spread + 1, (rows, channels))
             for rows in (queries, gallery)]
    return [values.astype(np.float32) for values in feats]


def assert_same(result, expected, dtype=np.float32):
    assert result.shape == expected.shape and result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


def smallest_gap(feats):
    """Smallest difference of the distances in a row, as a share of the largest one."""
    distances = np.sort(square_distances(feats, feats), axis=1)
    return (np.diff(distances, axis=1) / distances[:, -1:]).min()


# ---- against the definition ---------------------------------------------------------------------
@pytest.mark.parametrize('queries, gallery', [(10, 20), (30, 30), (25, 75), (1, 40), (40, 1), (50, 150)])
@pytest.mark.parametrize('k1, k2', [(20, 6), (10, 3)])
def test_sizes(queries, gallery, k1, k2):
    case = integer_case(queries, queries, gallery)
    assert_same(k_reciprocal_rerank(*case, k1, k2, .3), naive_k_reciprocal(*case, k1, k2, .3))


def test_defaults():
    case = integer_case(0)
    expected = naive_k_reciprocal(*case, 20, 6, .3)
    assert_same(k_reciprocal_rerank(*case), expected)
    assert_same(k_reciprocal_rerank(*case, k1=20, k2=6, lambda_value=.3, metric='euclidean', variant='original'),
                expected)


# The half of an odd k1 is rounded to even: 21 -> 10, 23 -> 12.
@pytest.mark.parametrize('k1, k2, lambda_value', [
    (1, 1, .3), (2, 2, .3), (3, 1, 0), (5, 2, 0), (7, 3, 0), (20, 1, .3), (21, 6, .3), (23, 6, .3), (25, 1, 0),
    (20, 6, 0), (20, 6, 1), (20, 6, .5), (6, 20, .3), (49, 6, .3), (49, 1, 0), (48, 49, .1), (20, 50, .3)])
def test_parameters(k1, k2, lambda_value):
    case = integer_case(1, 12, 38)
    assert_same(k_reciprocal_rerank(*case, k1, k2, lambda_value), naive_k_reciprocal(*case, k1, k2, lambda_value))


def test_odd_k1_is_told_apart():
    # What the parameters above can show: 21 with a half of 10 is not 21 with a half of 11.
    case = integer_case(1, 12, 38)
    expected = naive_k_reciprocal(*case, 21, 6, .3)
    rounded = [np.abs(naive_k_reciprocal(*case, k1, 6, .3) - expected).max() for k1 in (20, 22)]
    assert min(rounded) > 1e-3


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('k1, k2', [(20, 6), (7, 2), (4, 1)])
def test_equal_distances(seed, k1, k2):
    # Many equal distances and images: the image itself first, then the lowest row, queries before gallery.
    case = integer_case(seed, 15, 45, high=3, clusters=6, spread=2, channels=2)
    assert smallest_gap(np.concatenate(case)) == 0
    assert_same(k_reciprocal_rerank(*case, k1, k2, .3), naive_k_reciprocal(*case, k1, k2, .3))


def test_duplicates():
    query, gallery = integer_case(2, 8, 32)
    gallery[::3], gallery[1] = query[0], query[3]
    query[5] = query[0]
    assert_same(k_reciprocal_rerank(query, gallery, 10, 4), naive_k_reciprocal(query, gallery, 10, 4, .3))


@pytest.mark.parametrize('step', [2**22, 100])
def test_equal_values_of_other_bits(step, monkeypatch):
    # Zero and minus zero: at distance 0, although no comparison of bytes finds them equal.
    monkeypatch.setattr(nearest, 'BLOCK_ROWS', dict.fromkeys(nearest.BLOCK_ROWS, step))
    case = integer_case(16, 10, 40, high=4, spread=2, channels=2)
    for place, (x, y) in enumerate([(1, 1), (-1, 1), (1, -1), (-1, -1)]):
        case[place % 2][3 * place] = np.float32(0.) * np.array([x, y], np.float32)
    for k1, k2 in ((5, 2), (4, 1), (2, 3), (2, 2), (1, 2)):
        assert_same(k_reciprocal_rerank(*case, k1, k2), naive_k_reciprocal(*case, k1, k2, .3))


@pytest.mark.parametrize('value', [0, 1, .3])
@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
def test_all_features_equal(value, metric):
    query, gallery = np.full((5, 4), value, np.float32), np.full((30, 4), value, np.float32)
    result = k_reciprocal_rerank(query, gallery, 10, 3, metric=metric)
    assert np.isfinite(result).all()
    if value == 1 or metric == 'euclidean':
        assert_same(result, naive_k_reciprocal(query, gallery, 10, 3, .3))


@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
@pytest.mark.parametrize('variant', ['original', 'squared-twice'])
@pytest.mark.parametrize('queries, gallery, channels', [(5, 30, 2048), (17, 33, 2048), (64, 100, 64)])
def test_collapsed_network(metric, variant, queries, gallery, channels):
    # What rounding leaves of a distance of 0 is not divided by a largest distance of 0.
    point = np.random.default_rng(0).standard_normal(channels).astype(np.float32)
    case = np.tile(point, (queries, 1)), np.tile(point, (gallery, 1))
    expected = naive_k_reciprocal(*case, 10, 3, .3)
    assert_same(k_reciprocal_rerank(*case, 10, 3, metric=metric, variant=variant), expected)


@pytest.mark.parametrize('lambda_value', [0, .3, 1])
def test_squared_twice(lambda_value):
    case = integer_case(3, high=20, spread=4)
    expected = naive_k_reciprocal(*case, 20, 6, lambda_value, squared_twice=True)
    assert_same(k_reciprocal_rerank(*case, 20, 6, lambda_value, variant='squared-twice'), expected)
    assert np.abs(expected - naive_k_reciprocal(*case, 20, 6, lambda_value)).max() > 1e-2


def test_cosine():
    # Four of 16 channels are 1 or -1: norm 2, so that normalised features are exact. Lengths must not matter.
    rng = np.random.default_rng(4)
    feats = np.zeros((60, 16), np.float32)
    for row in feats:
        row[rng.choice(16, 4, replace=False)] = rng.choice([-1, 1], 4)
    lengths = 2.**rng.integers(-3, 4, (60, 1)).astype(np.float32)
    for k1, k2 in ((20, 6), (9, 2)):
        expected = naive_k_reciprocal(feats[:15] / 2, feats[15:] / 2, k1, k2, .3)
        longer = feats * lengths
        assert_same(k_reciprocal_rerank(longer[:15], longer[15:], k1, k2, metric='cosine'), expected)
    assert np.abs(k_reciprocal_rerank(longer[:15], longer[15:], k1, k2) - expected).max() > .1


@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_real_values(metric, dtype):
    feats = np.random.default_rng(12).standard_normal((60, 12))
    normalised = feats / np.linalg.norm(feats, axis=1, keepdims=True)
    compared = normalised if metric == 'cosine' else feats
    assert smallest_gap(compared) > 3e-6  # float32 orders them alike
    result = k_reciprocal_rerank(feats[:20].astype(dtype), feats[20:].astype(dtype), metric=metric)
    assert_same(result, naive_k_reciprocal(compared[:20], compared[20:], 20, 6, .3), dtype)


# ---- kinds of input -----------------------------------------------------------------------------
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_types(dtype):
    case = [torch.from_numpy(values).to(dtype) for values in integer_case(5, high=100, spread=20)]
    result = k_reciprocal_rerank(*case)
    assert isinstance(result, torch.Tensor) and result.device == case[0].device
    expected = naive_k_reciprocal(*(values.double().numpy() for values in case), 20, 6, .3)
    assert_same(result.numpy(), expected, np.float64 if dtype == torch.float64 else np.float32)
    if dtype != torch.bfloat16:
        arrays = k_reciprocal_rerank(*(values.numpy() for values in case))
        assert isinstance(arrays, np.ndarray)
        assert_same(arrays, result.numpy(), arrays.dtype)


@pytest.mark.parametrize('variant', ['original', 'squared-twice'])
@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
def test_torch_and_numpy_agree(variant, metric):
    feats = np.random.default_rng(12).standard_normal((60, 12)).astype(np.float32)
    options = dict(k1=11, k2=3, metric=metric, variant=variant)
    on_arrays = k_reciprocal_rerank(feats[:20], feats[20:], **options)
    on_tensors = k_reciprocal_rerank(torch.from_numpy(feats[:20]), torch.from_numpy(feats[20:]), **options)
    assert_same(on_tensors.numpy(), on_arrays)


def test_memory_layout_and_gradients():
    query, gallery = integer_case(6)
    expected = k_reciprocal_rerank(query, gallery)
    strided = np.repeat(gallery, 2, axis=1)[:, ::2]
    assert (k_reciprocal_rerank(np.asfortranarray(query), strided) == expected).all()
    result = k_reciprocal_rerank(torch.from_numpy(query).requires_grad_(), torch.from_numpy(gallery))
    assert not result.requires_grad
    assert_same(result.numpy(), expected)


def test_inputs_are_not_changed():
    case = integer_case(7)
    for metric in ('euclidean', 'cosine'):
        for kind in (np.array, torch.tensor):
            feats = [kind(values) for values in case]
            k_reciprocal_rerank(*feats, metric=metric)
            assert all((np.asarray(after) == before).all() for after, before in zip(feats, case))


# ---- pieces -------------------------------------------------------------------------------------
@pytest.mark.parametrize('high, spread', [(1000, 100), (3, 2)])
@pytest.mark.parametrize('step, rows', [(1, 1), (1000, 7), (2**22, 16), (50, 59), (2**22, 3)])
def test_steps_do_not_matter(high, spread, step, rows, monkeypatch):
    # However little is held at a time, and whichever block a neighbour (perhaps at equal distance) is found in.
    case = integer_case(13, 20, 40, high=high, spread=spread, channels=2)
    expected = naive_k_reciprocal(*case, 11, 4, .3)
    monkeypatch.setattr(k_reciprocal, 'STEP_ELEMENTS', step)
    monkeypatch.setattr(nearest, 'BLOCK_ROWS', dict.fromkeys(nearest.BLOCK_ROWS, rows))
    assert_same(k_reciprocal_rerank(*case, 11, 4), expected)


def test_blocks_of_queries():
    case = integer_case(14)
    for lambda_value in (.3, 0):
        expected = naive_k_reciprocal(*case, 20, 6, lambda_value)
        blocks = k_reciprocal.KReciprocalDistances(*case, lambda_value=lambda_value)
        for size in (10, 1, 3, 4):
            found = [blocks(start, min(start + size, 10)).numpy().copy() for start in range(0, 10, size)]
            assert_same(np.concatenate(found), expected)


@pytest.mark.parametrize('high, spread', [(1000, 100), (3, 2)])
@pytest.mark.parametrize('k1, k2', [(20, 6), (7, 1), (59, 3)])
@pytest.mark.parametrize('max_distance, step', [(1, 2**22), (.47, 2**22), (.47, 1), (1, 3000)])
def test_jaccard_neighbours(high, spread, k1, k2, max_distance, step, monkeypatch):
    monkeypatch.setattr(k_reciprocal, 'STEP_ELEMENTS', step)
    feats = np.concatenate(integer_case(15, 20, 40, high=high, spread=spread, channels=2))
    rows = k_reciprocal.jaccard_neighbours(feats, k1, k2, max_distance)
    expected = naive_jaccard(feats, k1, k2)[0]
    assert (np.abs(expected - max_distance)[expected != 1] > 1e-5).all()  # none is at the bound
    result, starts = np.ones((60, 60), np.float32), rows.starts.tolist()
    for row, (start, stop) in enumerate(zip(starts[:-1], starts[1:])):
        columns = rows.columns[start:stop].tolist()
        assert columns == sorted(set(columns)) and row in columns
        result[row, columns] = rows.values[start:stop]
    assert_same(result, np.where(expected < max_distance - 1e-5, expected, 1))


# ---- what must hold -----------------------------------------------------------------------------
def test_permutation():
    feats = np.random.default_rng(0).integers(0, 2000, (50, 2)).astype(np.float32)
    query, gallery = feats[:10], feats[10:]
    assert smallest_gap(feats) > 0
    expected = k_reciprocal_rerank(query, gallery)
    rng = np.random.default_rng(0)
    for _ in range(3):
        rows, columns = rng.permutation(len(query)), rng.permutation(len(gallery))
        result = k_reciprocal_rerank(query[rows], gallery[columns])
        np.testing.assert_allclose(result, expected[rows][:, columns], rtol=0, atol=1e-6)


def test_lambda_mixes():
    case = integer_case(9)
    jaccard, distances = (k_reciprocal_rerank(*case, lambda_value=value) for value in (0, 1))
    for value in (.25, .5):
        mixed = k_reciprocal_rerank(*case, lambda_value=value)
        np.testing.assert_allclose(mixed, (1 - value) * jaccard + value * distances, rtol=0, atol=1e-6)
    for values in (jaccard, distances):
        assert values.min() > -1e-6 and values.max() <= 1
    everything = np.concatenate(case)
    largest = square_distances(everything, everything)[:len(case[0])].max(axis=1, keepdims=True)
    np.testing.assert_allclose(distances, square_distances(*case) / largest, rtol=0, atol=1e-6)


@pytest.mark.parametrize('variant', ['original', 'squared-twice'])
def test_scale_does_not_matter(variant):
    query, gallery = integer_case(10, high=50, spread=10)
    expected = k_reciprocal_rerank(query, gallery, variant=variant)
    for factor in (.25, 16):
        result = k_reciprocal_rerank(query * np.float32(factor), gallery * np.float32(factor), variant=variant)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


def test_separate_clusters():
    # Two clusters of 12 far from each other, more images than neighbours: nothing is shared across.
    rng = np.random.default_rng(0)
    feats = rng.integers(0, 10, (24, 3)).astype(np.float32)
    feats[12:] += 1000
    query, gallery = feats[[0, 12]], feats[[*range(1, 12), *range(13, 24)]]
    result = k_reciprocal_rerank(query, gallery, k1=8, k2=3, lambda_value=0)
    assert result[0, 11:].tolist() == result[1, :11].tolist() == [1] * 11
    assert result[0, :11].max() < 1 and result[1, 11:].max() < 1


def test_clustered_data_gets_a_higher_map():
    # Identities are chains that neighbours lead along, and a camera shifts its images.
    rng = np.random.default_rng(1)
    pids = np.repeat(np.arange(12), 12)
    camids = np.tile(np.arange(4), 36)
    feats = (rng.standard_normal((12, 16))[pids] + .55 * rng.standard_normal((4, 16))[camids] +
             .75 * rng.standard_normal((144, 16))).astype(np.float32)
    is_query = np.arange(144) % 12 < 2
    case = [values[mask] for values in (feats, pids, camids) for mask in (is_query, ~is_query)]
    before = evaluate_ranking(*case)['mAP']
    after = evaluate_distances(k_reciprocal_rerank(*case[:2], k1=10, k2=3), *case[2:])['mAP']
    assert 30 < before < 95 and after > before + 3


# ---- errors -------------------------------------------------------------------------------------
@pytest.mark.parametrize('kind', [np.array, torch.tensor])
@pytest.mark.parametrize('changes, message', [
    (dict(k1=50), '50'), (dict(k1=1000), 'k1'), (dict(k1=0), 'k1'), (dict(k1=-3), 'k1'), (dict(k2=0), 'k2'),
    (dict(k2=-1), 'k2'), (dict(k2=51), 'k2'), (dict(lambda_value=-.1), 'lambda_value'),
    (dict(lambda_value=1.1), 'lambda_value'), (dict(lambda_value=float('nan')), 'lambda_value'),
    (dict(metric='l1'), 'metric'), (dict(variant='twice'), 'variant')])
def test_wrong_parameters(kind, changes, message):
    feats = [kind(values) for values in integer_case(11)]
    k_reciprocal_rerank(*feats, k1=49)
    with pytest.raises(ValueError, match=message):
        k_reciprocal_rerank(*feats, **changes)


@pytest.mark.parametrize('kind', [np.array, torch.tensor])
@pytest.mark.parametrize('split, value, message', [
    (0, np.zeros((10, 4), np.float32), '4'), (0, np.zeros(3, np.float32), 'query_feats'),
    (1, np.zeros((2, 40, 3), np.float32), 'gallery_feats'), (1, np.zeros((0, 3), np.float32), 'gallery_feats'),
    (0, np.full((10, 3), np.nan, np.float32), 'query_feats'),
    (1, np.full((40, 3), np.inf, np.float32), 'gallery_feats')])
def test_wrong_features(kind, split, value, message):
    feats = [kind(values) for values in integer_case(11)]
    feats[split] = kind(value)
    with pytest.raises(ValueError, match=message):
        k_reciprocal_rerank(*feats)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('variant', ['original', 'squared-twice'])
def test_cuda_agrees_with_the_definition(variant):
    case = integer_case(12, high=20, spread=4)
    result = k_reciprocal_rerank(*(torch.from_numpy(values).cuda() for values in case), variant=variant)
    assert result.is_cuda
    assert_same(result.cpu().numpy(), naive_k_reciprocal(*case, 20, 6, .3, squared_twice=variant != 'original'))


def test_memory_is_bounded_when_everything_overlaps(monkeypatch):
    # A collapsed network: every pair of rows shares the same neighbours.
    sizes, summed = [], k_reciprocal._summed
    monkeypatch.setattr(k_reciprocal, 'STEP_ELEMENTS', 5000)
    monkeypatch.setattr(k_reciprocal, '_summed', lambda number, values: (sizes.append(len(number)),
                                                                         summed(number, values))[1])
    query, gallery = np.ones((60, 4), np.float32), np.ones((100, 4), np.float32)
    result = k_reciprocal.k_reciprocal_rerank(query, gallery)
    assert (np.abs(result - result[0, 0]) < 0.71).all() and sum(sizes) > 100_000
    assert max(sizes) < 2 * 5000 + 100 * 30  # a part, and the row that fills it up
