"""Every protocol, with and without draws, against lists that are gone down one after another."""

import warnings
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from mmreid.evaluation import PROTOCOLS, Draws, Protocol, evaluate_distances, evaluate_ranking

from .oracles import (
    DRAWS,
    DROPPED,
    exact_single_shot_cmc,
    naive_evaluation,
    naive_inp,
    naive_sum_ap,
    naive_trapezoid_ap,
    poisson_binomial,
    random_case,
    square_distances,
    trial_of,
)

TOPK = (1, 2, 5, 10, 20, 1000)


def assert_same(result, expected, tolerance=1e-9):
    assert list(result) == list(expected)
    for key in expected:
        assert result[key] == pytest.approx(expected[key], abs=tolerance), key


def expect(case, name, topk=TOPK, **kwargs):
    return naive_evaluation(square_distances(*case[:2]), *case[2:], name, topk, **kwargs)


def with_draws(name, **draws):
    """A protocol of the table with other draws."""
    return replace(PROTOCOLS[name], draws=Draws(**draws))


def line_case(queries, gallery):
    """Images on a line: rows of (position, identity, camera)."""
    columns = [[np.array(column) for column in zip(*rows)] for rows in (queries, gallery)]
    feats = [split[0][:, None].astype(float) for split in columns]
    return [*feats, columns[0][1], columns[1][1], columns[0][2], columns[1][2]]


# ---- the table ----------------------------------------------------------------------------------
def test_all_protocols_have_an_oracle():
    assert set(PROTOCOLS) == set(DROPPED)
    assert {name for name, row in PROTOCOLS.items() if row.draws is not None} == set(DRAWS)
    for name, (num_draws, num_pids) in DRAWS.items():
        assert PROTOCOLS[name].draws == Draws(num_draws=num_draws, num_pids=num_pids, seed=0, splits=None)
    assert [name for name, row in PROTOCOLS.items() if not row.needs_cameras] == ['all']


@pytest.mark.parametrize('name', DROPPED)
def test_what_is_dropped(name):
    row = PROTOCOLS[name]
    for pid in (-1, 0, 7, 8):
        for camid in (1, 2):
            same_pid, same_camid = pid == 7, camid == 1
            dropped = row.excludes(np.array([same_pid]), np.array([same_camid])) | row.junk(np.array([pid]))
            assert dropped.tolist() == [DROPPED[name](same_pid, same_camid, pid)], (pid, camid)


# ---- random galleries ---------------------------------------------------------------------------
@pytest.mark.parametrize('name', DROPPED)
@pytest.mark.parametrize('seed', range(3))
def test_matches_definition(name, seed):
    case = random_case(seed)
    expected = expect(case, name)
    if name != 'all':
        assert expected['num_valid_queries'] < expected['num_queries']
    assert_same(evaluate_ranking(*case, protocol=name, topk=TOPK), expected)
    tensors = [torch.from_numpy(values) for values in case]
    assert_same(evaluate_ranking(*tensors, protocol=name, topk=TOPK, metric='sqeuclidean'), expected)
    assert_same(evaluate_ranking(*case, protocol=name, topk=TOPK, trapezoid=True), expect(case, name, trapezoid=True))


@pytest.mark.parametrize('name', DROPPED)
@pytest.mark.parametrize('kwargs', [dict(ids=2), dict(ids=60), dict(cameras=6), dict(high=2, channels=2),
                                    dict(queries=1, ids=3), dict(gallery=25, queries=60), dict(high=1)])
def test_other_galleries(name, kwargs):
    case = random_case(11, **kwargs)
    case[4][0], case[2][0], case[3][:3], case[5][:3] = 1, 3, 3, 2  # the first query has a match in any case
    assert_same(evaluate_ranking(*case, protocol=name, topk=TOPK), expect(case, name))


@pytest.mark.parametrize('name', DROPPED)
def test_odd_identities_of_queries(name):
    # Queries that are junk or distractors themselves: the rules hold for them as they are written.
    case = random_case(12)
    case[2][:4], case[2][4:8] = -1, 0
    assert_same(evaluate_ranking(*case, protocol=name, topk=TOPK), expect(case, name))


@pytest.mark.parametrize('name', DROPPED)
@pytest.mark.parametrize('infinite', [False, True])
def test_distances_at_hand(name, infinite):
    case = random_case(13)
    distances = np.random.default_rng(0).integers(-20, 30, (40, 150)).astype(np.float32)
    if infinite:
        distances[distances > 10] = np.inf
        distances[distances < -15] = -np.inf
    expected = naive_evaluation(distances, *case[2:], name, TOPK)
    backwards = np.ascontiguousarray(distances[::-1, ::-1])[::-1, ::-1]
    read_only = distances.copy()
    read_only.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        for given in (distances, read_only, backwards, np.asfortranarray(distances), distances.astype(np.float64),
                      torch.from_numpy(distances), lambda start, stop: read_only[start:stop]):
            assert_same(evaluate_distances(given, *case[2:], protocol=name, topk=TOPK, chunk_size=9), expected)


@pytest.mark.parametrize('name', DROPPED)
def test_cosine(name):
    case = random_case(4)
    for split in range(2):  # one norm, so that equal cosines are equal numbers
        case[split] = np.eye(3, dtype=np.float32)[case[split].astype(int).sum(1) % 3] * 2
    expected = naive_evaluation(-(case[0] @ case[1].T), *case[2:], name, TOPK)
    assert_same(evaluate_ranking(*case, protocol=name, metric='cosine', topk=TOPK), expected)


@pytest.mark.parametrize('name', DROPPED)
def test_chunks_and_threads(name):
    case = random_case(5)
    expected = evaluate_ranking(*case, protocol=name, trapezoid=True)
    for chunk_size in (1, 7, 39, 40, 1000):
        for threads in (None, 1, 3):
            options = dict(chunk_size=chunk_size, num_threads=threads, trapezoid=True)
            assert evaluate_ranking(*case, protocol=name, **options) == expected


@pytest.mark.parametrize('topk', [1, (1, ), (3, 1), (2, 700)])
@pytest.mark.parametrize('name', ['market1501', 'cuhk03'])
def test_topk(name, topk):
    case = random_case(6)
    assert_same(evaluate_ranking(*case, protocol=name, topk=topk),
                expect(case, name, (topk, ) if isinstance(topk, int) else topk))


def test_all_needs_no_cameras():
    case = random_case(7)
    expected = expect(case, 'all')
    assert expected['num_valid_queries'] == expected['num_queries']
    assert_same(evaluate_ranking(*case[:4], None, None, protocol='all', topk=TOPK), expected)
    assert_same(evaluate_ranking(*case, protocol='all', topk=TOPK), expected)


@pytest.mark.parametrize('name', [name for name in DROPPED if name != 'all'])
@pytest.mark.parametrize('given', [(True, False), (False, True), (False, False)])
def test_the_others_need_cameras(name, given):
    case = random_case(7)
    camids = [values if there else None for values, there in zip(case[4:], given)]
    with pytest.raises(ValueError, match='cam'):
        evaluate_ranking(*case[:4], *camids, protocol=name)


# ---- trapezoid AP -------------------------------------------------------------------------------
def test_average_precision_by_hand():
    # Matches at ranks 2 and 4. Sum: (1/2 + 2/4) / 2. Trapezoids: from precision 0/1 to 1/2 and from 1/3 to 2/4.
    flags = [False, True, False, True, False]
    assert naive_sum_ap(flags) == pytest.approx(1 / 2) and naive_inp(flags) == pytest.approx(2 / 4)
    assert naive_trapezoid_ap(flags) == pytest.approx(((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    # A match at rank 1 starts from precision 1.
    assert naive_trapezoid_ap([True, False, True]) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    case = line_case([(0, 7, 1)], [(1, 8, 2), (2, 7, 2), (3, 0, 2), (4, 7, 3), (5, 8, 1)])
    result = evaluate_ranking(*case, topk=1, trapezoid=True)
    assert list(result) == ['mAP', 'mAP-trapezoid', 'mINP', 'rank-1', 'num_queries', 'num_valid_queries']
    assert result['mAP'] == pytest.approx(50) and result['mINP'] == pytest.approx(50)
    assert result['mAP-trapezoid'] == pytest.approx(100 * (1 / 4 + 5 / 12) / 2)


def test_trapezoid_is_the_formula():
    rng = np.random.default_rng(0)
    for _ in range(50):
        flags = (rng.random(30) < .3).tolist()
        flags[int(rng.integers(30))] = True
        ranks = np.flatnonzero(flags) + 1
        before = [i / (rank - 1) if rank > 1 else 1 for i, rank in enumerate(ranks)]
        expected = np.mean([(old + (i + 1) / rank) / 2 for i, (old, rank) in enumerate(zip(before, ranks))])
        assert naive_trapezoid_ap(flags) == pytest.approx(expected)
        assert naive_trapezoid_ap(flags) <= naive_sum_ap(flags) + 1e-12


# ---- draws by hand ------------------------------------------------------------------------------
def test_cuhk03_by_hand():
    # Query 1 of camera 1 at 0. It keeps camera 2: its match at 3, identity 2 at 1 or at 5, identity 3 at 4.
    # Drawing 2 at 1 puts the match at rank 2, drawing 2 at 5 at rank 1. The ranking of all kept images has the match
    # behind 2 at 1 only: AP 1/2, in every trial.
    gallery = [(0, 1, 1), (3, 1, 2), (1, 2, 2), (5, 2, 2), (4, 3, 2), (1, 3, 1)]
    case = line_case([(0, 1, 1)], gallery)
    keys = [np.random.default_rng([0, trial]).random(6) for trial in range(10)]
    first = [float(key[3] < key[2]) for key in keys]  # the image at 5 is drawn
    assert 0 < sum(first) < 10
    result = evaluate_ranking(*case, protocol='cuhk03', topk=(1, 2))
    assert_same(result, {
        'mAP': 50, 'mINP': 50, 'rank-1': 100 * np.mean(first), 'rank-2': 100, 'mAP-std': 0, 'mINP-std': 0,
        'rank-1-std': 100 * np.std(first), 'rank-2-std': 0, 'num_draws': 10, 'num_queries': 1, 'num_valid_queries': 1})


def test_a_drawn_tie_is_lost():
    # One image of each identity at one distance: both others rank before the match.
    case = line_case([(0, 1, 1)], [(1, 2, 2), (1, 1, 2), (-1, 3, 2)])
    result = evaluate_ranking(*case, protocol='cuhk03', topk=(1, 2, 3))
    assert [result[f'rank-{k}'] for k in (1, 2, 3)] == [0, 0, 100]


def test_viper_split_by_hand():
    # Query 1 at 0: the match at 2, identity 2 at 1, identity 3 at 3. Query 2 at 10: the match at 11, 3 at 12.
    # Query 3 at 3 has its match at 3, query 4 has none. Identity 9 of the gallery, at -1, is in every trial.
    queries = [(0, 1, 1), (10, 2, 1), (3, 3, 1), (0, 4, 1)]
    case = line_case(queries, [(2, 1, 2), (1, 2, 2), (11, 2, 2), (3, 3, 2), (-1, 9, 2)])
    # Trial 0, identities 1 and 3: query 1 has 9 before it, query 3 is right. Trial 1, identities 2 and 4: query 2 has
    # matches at 11 (rank 1) and at 1 (rank 2: 9 is farther). It is right if 11 is drawn, and if 1 is drawn too: 9 is
    # at distance 11.
    splits = ((1, 3), (2, 4))
    result = evaluate_ranking(*case, protocol=with_draws('viper', num_draws=2, num_pids=2, splits=splits), topk=(1, 2))
    assert_same(result, {
        'mAP': 100 * (3 / 4 + 1) / 2, 'mINP': 100 * (3 / 4 + 1) / 2, 'rank-1': 75, 'rank-2': 100, 'mAP-std': 12.5,
        'mINP-std': 12.5, 'rank-1-std': 25, 'rank-2-std': 0, 'num_draws': 2, 'num_queries': 4, 'num_valid_queries': 3})


# ---- draws at random ----------------------------------------------------------------------------
@pytest.mark.parametrize('draws', [
    dict(num_draws=1), dict(num_draws=3, num_pids=4), dict(num_draws=4, num_pids=4, seed=7),
    dict(num_draws=3, num_pids=12, seed=1), dict(num_draws=3, num_pids=13), dict(num_draws=2, num_pids=11, seed=12345)])
@pytest.mark.parametrize('name', ['cuhk03', 'viper'])
def test_custom_draws(name, draws):
    for seed in range(2):
        case = random_case(seed + 20)
        result = evaluate_ranking(*case, protocol=with_draws(name, **draws), topk=TOPK, trapezoid=True)
        assert_same(result, expect(case, name, draws=draws, trapezoid=True))


@pytest.mark.parametrize('name', ['market1501', 'all'])
def test_draws_with_other_rules(name):
    # Whatever is dropped, the draws are made from what is kept.
    case, draws = random_case(23), dict(num_draws=4, num_pids=5, seed=2)
    protocol = Protocol('custom', 'test', excludes=PROTOCOLS[name].excludes, junk_pids=PROTOCOLS[name].junk_pids,
                        needs_cameras=PROTOCOLS[name].needs_cameras, draws=Draws(**draws))
    expected = expect(case, name, draws=draws)
    assert_same(evaluate_ranking(*case, protocol=protocol, topk=TOPK), expected)
    for chunk_size in (1, 9, 40):
        options = dict(chunk_size=chunk_size, num_threads=2)
        assert_same(evaluate_ranking(*case, protocol=protocol, topk=TOPK, **options), expected)


def test_splits_are_used():
    case, splits = random_case(24), ((3, 4, 5), (6, 7, 8), (3, 9, 10))
    protocol = with_draws('viper', num_draws=3, splits=splits)
    expected = expect(case, 'viper', draws=dict(num_draws=3, splits=splits))
    assert_same(evaluate_ranking(*case, protocol=protocol, topk=TOPK), expected)
    assert expected['num_valid_queries'] < expect(case, 'viper')['num_valid_queries']
    other = with_draws('viper', num_draws=3, splits=((3, 4, 5), (6, 7, 8), (3, 9, 11)))
    assert evaluate_ranking(*case, protocol=other, topk=TOPK) != expected
    # All identities in every trial is what cuhk03 does.
    everyone = (tuple(sorted(set(case[2].tolist()))), ) * 10
    result = evaluate_ranking(*case, protocol=with_draws('viper', splits=everyone))
    assert result == evaluate_ranking(*case, protocol='cuhk03')


def test_trials_without_a_match_do_not_count():
    case = random_case(24)
    case[2][case[2] > 6] += 100  # nobody in the gallery
    for draws in (dict(num_draws=12, num_pids=1), dict(num_draws=3, splits=((3, 4), (110, ), (5, 111)))):
        expected = expect(case, 'viper', draws=draws)
        assert expected['num_draws'] < draws['num_draws']
        assert_same(evaluate_ranking(*case, protocol=with_draws('viper', **draws), topk=TOPK), expected)


def test_splits_fit():
    case = random_case(24)
    with pytest.raises(ValueError, match='999'):
        evaluate_ranking(*case, protocol=with_draws('viper', num_draws=1, splits=((3, 999), )))
    for wrong in (dict(num_draws=0), dict(num_pids=0), dict(splits=()), dict(splits=((3, ), ()))):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Draws(**wrong)


@pytest.mark.parametrize('name', DROPPED)
@pytest.mark.parametrize('large', ['query', 'gallery', 'both', 'cameras'])
def test_large_numbers(name, large):
    # Identities or cameras that take 64 bits, in one split or in both.
    case = random_case(26)
    if large in ('query', 'both'):
        case[2][case[2] == 3] += 2**40
    if large in ('gallery', 'both'):
        case[3][case[3] == 3] += 2**40
    if large == 'cameras':
        case[4][case[4] == 1] -= 2**40
    assert_same(evaluate_ranking(*case, protocol=name, topk=TOPK), expect(case, name))


def test_draws_are_reproducible_and_seeds_differ():
    case = random_case(25)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = evaluate_ranking(*case, protocol='cuhk03')
    np.random.seed(2)
    torch.manual_seed(2)
    assert evaluate_ranking(*case, protocol='cuhk03') == expected
    state = np.random.get_state()[1].copy()
    assert evaluate_ranking(*case, protocol=with_draws('cuhk03', seed=0)) == expected
    assert (np.random.get_state()[1] == state).all()
    curves = {evaluate_ranking(*case, protocol=with_draws('cuhk03', seed=seed))['rank-1'] for seed in range(5)}
    assert len(curves) > 1
    # More trials start with the same ones.
    assert expected['rank-1-std'] > 0 and evaluate_ranking(
        *case, protocol=with_draws('cuhk03', num_draws=1))['rank-1-std'] == 0


def test_a_full_gallery_has_nothing_to_draw():
    # One kept image of each identity: every trial is the plain ranking.
    rng = np.random.default_rng(0)
    case = [rng.integers(0, 9, (20, 2)).astype(np.float32), rng.integers(0, 9, (20, 2)).astype(np.float32),
            np.arange(20), rng.permutation(20), np.full(20, 1), np.full(20, 2)]
    plain = evaluate_ranking(*case, protocol='nd', topk=TOPK)
    drawn = evaluate_ranking(*case, protocol='viper', topk=TOPK)
    assert all(drawn[key] == pytest.approx(plain[key], abs=1e-9) for key in plain)
    assert all(drawn[key] == pytest.approx(0, abs=1e-9) for key in drawn if key.endswith('-std'))
    assert plain['mAP'] == pytest.approx(plain['mINP'])


# ---- the expectation ----------------------------------------------------------------------------
def test_poisson_binomial():
    assert poisson_binomial([]) == [1]
    assert poisson_binomial([.5, .5]) == pytest.approx([.25, .5, .25])
    assert poisson_binomial([1, .25]) == pytest.approx([0, .75, .25])


def test_exact_expectation_by_hand():
    # The match is at 3 or at 6. Identity 2 is at 1 or at 5, identity 3 at 3 (a tie, ahead of either match).
    case = line_case([(0, 1, 1)], [(3, 1, 2), (6, 1, 2), (1, 2, 2), (5, 2, 2), (-3, 3, 2)])
    exact = exact_single_shot_cmc(square_distances(*case[:2]), *case[2:], 'cuhk03', (1, 2, 3))
    assert exact == pytest.approx({'rank-1': 0, 'rank-2': 100 * (.5 * .5 + .5 * 0), 'rank-3': 100})


def small_case():
    case = random_case(30, queries=12, gallery=50, ids=6, cameras=3, high=6)
    for split in range(2):  # some rankings are good
        case[split] += 2 * case[2 + split][:, None]
    return case, square_distances(*case[:2])


def test_draws_reach_the_expectation():
    case, distances = small_case()
    exact = exact_single_shot_cmc(distances, *case[2:], 'cuhk03', TOPK)
    num_draws = 2000
    result = evaluate_ranking(*case, protocol=with_draws('cuhk03', num_draws=num_draws), topk=TOPK)
    assert result['num_draws'] == num_draws and 5 < result['rank-1'] < 95
    for key, value in exact.items():
        assert abs(result[key] - value) <= 4 * result[f'{key}-std'] / num_draws**.5 + 1e-9, key
    # The oracle's own draws do too.
    drawn = naive_evaluation(distances, *case[2:], 'cuhk03', TOPK, draws=dict(num_draws=300, seed=5))
    for key, value in exact.items():
        assert abs(drawn[key] - value) <= 4 * drawn[f'{key}-std'] / 300**.5 + 1e-9, key


def test_drawn_identities_reach_the_expectation():
    # Half of the query identities in a trial, every half as often: the mean over all halves.
    case, distances = small_case()
    query_ids = sorted(set(case[2].tolist()))
    others = set(case[3].tolist()) - set(query_ids)
    exact = [exact_single_shot_cmc(np.array([row for row, pid in zip(distances, case[2]) if pid in half]),
                                   *[values[np.isin(case[2], half)] if split == 0 else values
                                     for split, values in zip((0, 1, 0, 1), case[2:])],
                                   'viper', TOPK, set(half) | others)
             for half in combinations(query_ids, 3)]
    num_draws = 2000
    protocol = with_draws('viper', num_draws=num_draws, num_pids=3, seed=1)
    result = evaluate_ranking(*case, protocol=protocol, topk=TOPK)
    for key in exact[0]:
        value = np.mean([curve[key] for curve in exact])
        assert abs(result[key] - value) <= 4 * result[f'{key}-std'] / num_draws**.5 + 1e-9, key


def test_every_identity_and_image_is_drawn_as_often():
    # The oracle's trials: 3 of 6 identities, so each in half of them; gallery identities without a query in all.
    trials = [trial_of([1, 2, 3, 4, 5, 6, 6], [1, 2, 0, -1, 9], trial, num_pids=3)[0] for trial in range(2000)]
    assert all({0, -1, 9} <= trial and len(trial) == 6 for trial in trials)
    for pid in range(1, 7):
        assert abs(sum(pid in trial for trial in trials) - 1000) < 4 * (2000 * .25)**.5
