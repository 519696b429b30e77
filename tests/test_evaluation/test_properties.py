"""What must hold for every ranking, on generated ones: small integers, so that distances are exact and often equal."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmreid.evaluation import PROTOCOLS, Draws, evaluate_ranking

PLAIN = ['market1501', 'nd', 'cuhk03-np', 'all']  # without draws
TOPK = (1, 2, 3, 5, 8, 100)
COUNTS = ('num_queries', 'num_valid_queries', 'num_draws')

check = settings(deadline=None, max_examples=50, derandomize=True)


@st.composite
def cases(draw):
    """Arguments of evaluate_ranking with at least one match under every protocol."""
    queries, gallery = draw(st.integers(1, 8)), draw(st.integers(1, 16))
    channels, ids, cameras = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    feats = [rng.integers(-3, 4, (rows, channels)).astype(np.float32) for rows in (queries, gallery)]
    pids = [rng.integers(1, ids + 1, queries), rng.integers(-1, ids + 2, gallery)]
    camids = [rng.integers(0, cameras, queries), rng.integers(0, cameras, gallery)]
    pids[1][0], camids[1][0] = pids[0][0], cameras
    return [*feats, *pids, *camids]


def with_gallery(case, feat, pid, camid, at_end=True):
    """The case with one more gallery image."""
    position = len(case[1]) if at_end else 0
    rows = dict(zip((1, 3, 5), (feat, pid, camid)))
    return [np.insert(values, position, rows[index], axis=0) if index in rows else values
            for index, values in enumerate(case)]


def only_query(case, query):
    return [values[query:query + 1] if index % 2 == 0 else values for index, values in enumerate(case)]


def scores(result):
    """The percentages alone."""
    return {key: value for key, value in result.items() if key not in COUNTS and not key.endswith('-std')}


def evaluate(case, protocol, **kwargs):
    return evaluate_ranking(*case, **{'protocol': protocol, 'topk': TOPK, 'trapezoid': True, **kwargs})


def assert_close(result, expected):
    assert list(result) == list(expected)
    assert result == pytest.approx(expected, abs=1e-9)


def assert_not_higher(result, before):
    assert all(value <= scores(before)[key] + 1e-9 for key, value in scores(result).items())


# ---- bounds and order ---------------------------------------------------------------------------
@check
@given(cases(), st.sampled_from(list(PROTOCOLS)), st.sampled_from(['euclidean', 'cosine']))
def test_bounds_and_order(case, protocol, metric):
    result = evaluate(case, protocol, metric=metric)
    assert all(0 <= value <= 100 + 1e-9 for value in scores(result).values())
    assert all(0 <= value <= 50 + 1e-9 for key, value in result.items() if key.endswith('-std'))
    assert result['mAP-trapezoid'] <= result['mAP'] + 1e-9
    curve = [result[f'rank-{k}'] for k in TOPK]
    assert curve == sorted(curve) and curve[-1] == pytest.approx(100)
    assert 1 <= result['num_valid_queries'] <= result['num_queries'] == len(case[0])
    plain = {key: value for key, value in result.items() if not key.startswith('mAP-trapezoid')}
    assert evaluate(case, protocol, metric=metric, trapezoid=False) == plain


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)))
def test_perfect_model(case, protocol):
    # Identities at different places; junk too, which 'all' takes for non-matches.
    case[0], case[1] = (np.stack([pids, pids**2], axis=1).astype(np.float32) for pids in case[2:4])
    result = evaluate(case, protocol)
    assert scores(result) == pytest.approx(dict.fromkeys(scores(result), 100), abs=1e-9)


@check
@given(cases(), st.sampled_from(PLAIN))
def test_collapsed_model_is_never_better(case, protocol):
    before = evaluate(case, protocol)
    case[0], case[1] = np.ones_like(case[0]), np.ones_like(case[1])
    assert_not_higher(evaluate(case, protocol), before)


# ---- what changes nothing -----------------------------------------------------------------------
@check
@given(cases(), st.sampled_from(PLAIN), st.sampled_from(['euclidean', 'cosine']), st.data())
def test_permutation(case, protocol, metric, data):
    orders = [np.array(data.draw(st.permutations(range(len(case[split]))))) for split in range(2)]
    permuted = [values[orders[index % 2]] for index, values in enumerate(case)]
    assert_close(evaluate(permuted, protocol, metric=metric), evaluate(case, protocol, metric=metric))


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)), st.data())
def test_order_of_the_queries(case, protocol, data):
    # The keys of the draws belong to gallery rows: with draws, too, the order of the queries does not matter.
    order = np.array(data.draw(st.permutations(range(len(case[0])))))
    permuted = [values[order] if index % 2 == 0 else values for index, values in enumerate(case)]
    assert_close(evaluate(permuted, protocol), evaluate(case, protocol))


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)), st.integers(-12, 12))
def test_power_of_two_under_cosine(case, protocol, exponent):
    scaled = [values * np.float32(2.**exponent) if index < 2 else values for index, values in enumerate(case)]
    assert evaluate(scaled, protocol, metric='cosine') == evaluate(case, protocol, metric='cosine')


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)), st.sampled_from(['euclidean', 'sqeuclidean']), st.integers(-8, 8))
def test_scale_and_shift_of_distances(case, protocol, metric, exponent):
    expected = evaluate(case, protocol)
    scaled = [values * np.float32(2.**exponent) if index < 2 else values for index, values in enumerate(case)]
    assert evaluate(scaled, protocol, metric=metric) == expected
    shifted = [values + np.float32(3) if index < 2 else values for index, values in enumerate(case)]
    assert evaluate(shifted, protocol, metric=metric) == expected


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)))
def test_features_twice_side_by_side(case, protocol):
    doubled = [np.concatenate([values, values], axis=1) if index < 2 else values for index, values in enumerate(case)]
    for metric in ('sqeuclidean', 'euclidean'):
        assert evaluate(doubled, protocol, metric=metric) == evaluate(case, protocol, metric=metric)


@check
@given(cases(), st.sampled_from([name for name in PROTOCOLS if name != 'all']), st.integers(0, 3), st.booleans())
def test_junk(case, protocol, camid, at_end):
    assume(at_end or PROTOCOLS[protocol].draws is None)  # a row at the start would take the first key
    more = with_gallery(case, case[0][0], -1, camid, at_end)
    assert evaluate(more, protocol) == evaluate(case, protocol)


@check
@given(cases(), st.sampled_from(PLAIN + ['cuhk03']), st.randoms(use_true_random=False))
def test_numbering(case, protocol, random):
    def renumbered(first, second, fixed):
        values = sorted({*first.tolist(), *second.tolist()} - fixed)
        numbers = dict(zip(values, random.sample(range(1000), len(values))))
        return [np.array([numbers.get(value, value) for value in column.tolist()]) for column in (first, second)]

    other = [*case[:2], *renumbered(*case[2:4], {-1}), *renumbered(*case[4:], set())]
    assert_close(evaluate(other, protocol), evaluate(case, protocol))


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)), st.integers(0, 3))
def test_a_far_non_match(case, protocol, camid):
    far = np.full(case[1].shape[1], 1000, dtype=np.float32)
    assert evaluate(with_gallery(case, far, 99, camid), protocol) == evaluate(case, protocol)


# ---- what can only harm -------------------------------------------------------------------------
@check
@given(cases(), st.sampled_from(PLAIN), st.sampled_from(['euclidean', 'cosine']), st.data())
def test_one_more_image_of_another_identity(case, protocol, metric, data):
    query = data.draw(st.sampled_from(range(len(case[0]))))
    case = only_query(case, query)
    case[3][0] = case[2][0]  # row 0 is of a camera of its own: the one match that is always there
    others = np.flatnonzero(case[3] != case[2][0])
    assume(len(others))
    row = int(data.draw(st.sampled_from(others.tolist())))
    more = with_gallery(case, case[1][row], case[3][row], case[5][row])
    assert_not_higher(evaluate(more, protocol, metric=metric), evaluate(case, protocol, metric=metric))


@check
@given(cases(), st.sampled_from(list(PROTOCOLS)), st.integers(0, 3), st.integers(-3, 3))
def test_one_more_distractor(case, protocol, camid, place):
    feat = np.full(case[1].shape[1], place, dtype=np.float32)
    assert_not_higher(evaluate(with_gallery(case, feat, 77, camid), protocol), evaluate(case, protocol))


@check
@given(cases(), st.sampled_from(PLAIN), st.data())
def test_a_match_that_comes_nearer(case, protocol, data):
    case = only_query(case, 0)
    matches = np.flatnonzero(case[3] == case[2][0])
    row = data.draw(st.sampled_from(matches.tolist()))
    before = evaluate(case, protocol)
    case[1][row] = case[0][0]
    assert_not_higher(before, evaluate(case, protocol))


# ---- protocols among each other -----------------------------------------------------------------
@check
@given(cases())
def test_relations(case):
    assert evaluate(case, 'cuhk03-np') == evaluate(case, 'market1501')
    fewer = [values[case[3] != -1] if index % 2 else values for index, values in enumerate(case)]
    elsewhere = [*fewer[:4], fewer[4] * 0, fewer[5] * 0 + 1]
    # Where no image is of the query's camera, and without junk, nothing is dropped.
    everything = evaluate(fewer, 'all')
    assert evaluate(elsewhere, 'market1501') == evaluate(elsewhere, 'nd') == everything
    assert evaluate([*fewer[:4], None, None], 'all') == everything


@check
@given(cases(), st.integers(1, 5), st.integers(0, 10))
def test_draws_share_the_ranking_of_all(case, num_draws, seed):
    # With all identities in every trial, mAP and mINP are those of the plain ranking.
    drawn = evaluate(case, replace(PROTOCOLS['cuhk03'], draws=Draws(num_draws=num_draws, seed=seed)))
    plain = evaluate(case, 'nd')
    for key in ('mAP', 'mAP-trapezoid', 'mINP'):
        assert drawn[key] == pytest.approx(plain[key], abs=1e-9)
        assert drawn[f'{key}-std'] == pytest.approx(0, abs=1e-6)
    assert drawn['num_draws'] == num_draws and drawn['num_valid_queries'] == plain['num_valid_queries']
