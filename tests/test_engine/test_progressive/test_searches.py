"""Searches: what they propose, and that this depends on nothing but what they are given."""

import copy
import itertools
import json
import math
from statistics import median

import numpy as np
import pytest

from mmreid.engine.progressive import BayesianSearch, GridSearch, RandomSearch, SearchSpace
from mmreid.engine.progressive.searches import GaussianProcess, base, expected_improvement
from mmreid.engine.progressive.searches.base import History
from mmreid.registry import TASK_UTILS

from .spaces import bowl, observed, paper_space, ranks_space

SPACE = paper_space()
ALL_SEARCHES = [dict(type='RandomSearch'), dict(type='BayesianSearch'), dict(type='BayesianSearch', num_random=2),
                dict(type='BayesianSearch', num_random=0, exploit='best', history='all'),
                dict(type='BayesianSearch', num_random=3, bandwidth=dict(k=.2, p=.5, margin=.3, loss_weight=1)),
                dict(type='GridSearch', points=[dict(loss_weight=1, margin=0, k=k, p=1) for k in (1, 4, 8)])]


def explore(search, space, objective, seed, trials, cycle=1):
    """Observations of a cycle."""
    found = []
    for trial in range(1, trials + 1):
        values = search.suggest(space, found, seed, cycle=cycle)
        found.append(dict(values=values, objective=objective(values), cycle=cycle, trial=trial))
    return found


def some(count, seed=0, cycle=1):
    return explore(RandomSearch(), SPACE, bowl, seed, count, cycle)


# ---- what all share --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('settings', ALL_SEARCHES)
def test_results_are_a_function_of_what_is_given(settings):
    search = TASK_UTILS.build(settings)
    observations = some(6)
    before = copy.deepcopy((observations, vars(search)))
    state = np.random.get_state()[1].tolist()
    first = [(search.suggest(SPACE, observations[:n], 3), search.choose(SPACE, observations[:n or 1], 3))
             for n in range(7)]
    assert np.random.get_state()[1].tolist() == state  # global draws are left alone, and do not matter
    np.random.rand(5)
    # A new object, asked in another order, about what was written to a file and read again.
    again, read = TASK_UTILS.build(settings), json.loads(json.dumps(observations))
    second = {n: (again.suggest(SPACE, read[:n], 3), again.choose(SPACE, read[:n or 1], 3)) for n in reversed(range(7))}
    assert first == [second[n] for n in range(7)]
    assert (observations, vars(search)) == before
    for values in itertools.chain(*first):
        assert SPACE.check(values) == values


@pytest.mark.parametrize('settings', ALL_SEARCHES)
def test_a_search_can_be_built_from_its_settings(settings):
    search = TASK_UTILS.build(settings)
    plain = json.loads(json.dumps(search.settings()))
    again = TASK_UTILS.build(plain)
    assert again.settings() == search.settings() and type(again) is type(search)
    assert settings['type'] in repr(search)


def test_settings_that_a_record_cannot_hold():
    class Own(RandomSearch):
        def settings(self):
            return dict(super().settings(), rng=np.random.default_rng())

    RandomSearch().check(SPACE, 3)
    with pytest.raises(TypeError, match='of Own must be plain values, fit for JSON.*Generator'):
        Own().check(SPACE, 3)


@pytest.mark.parametrize('settings', ALL_SEARCHES)
def test_mistakes_of_the_caller(settings):
    search = TASK_UTILS.build(settings)
    with pytest.raises(ValueError, match='cycle 0 has no observation'):
        search.choose(SPACE, [], 0)
    with pytest.raises(ValueError, match='cycle 2 has no observation'):
        search.choose(SPACE, some(2), 0, cycle=2)
    with pytest.raises(TypeError, match='number 1 is'):
        search.suggest(SPACE, [*some(1), dict(values={})], 0)
    with pytest.raises(ValueError, match='missing: loss_weight, margin'):
        search.suggest(SPACE, observed((dict(k=1, p=1), 0.)), 0)
    for seed in (-1, 1.5, None, True):
        with pytest.raises(ValueError, match='seed must be a whole number'):
            search.suggest(SPACE, [], seed)


@pytest.mark.parametrize('settings', ALL_SEARCHES)
def test_the_order_of_the_space_does_not_matter(settings):
    search = TASK_UTILS.build(settings)
    other = SearchSpace(dict(reversed(SPACE.settings().items())))
    for count in (1, 5):
        assert search.suggest(SPACE, some(count), 3) == search.suggest(other, some(count), 3)
        assert search.choose(SPACE, some(count), 3) == search.choose(other, some(count), 3)


def test_draws_depend_on_seed_cycle_and_trial_only():
    search = RandomSearch()
    observations = some(4)
    other = [dict(item, objective=math.nan) for item in observations]
    assert search.suggest(SPACE, observations, 0) == search.suggest(SPACE, other, 0)
    drawn = [search.suggest(SPACE, observations[:n], seed, cycle=cycle)
             for seed, cycle, n in [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)]]
    assert all(a != b for a, b in itertools.combinations(drawn, 2))
    # The next cycle draws the same whether it is shown the ones before or not.
    assert search.suggest(SPACE, observations, 0, cycle=2) == search.suggest(SPACE, [], 0, cycle=2)


def test_what_failed():
    values = [item['values'] for item in some(6)]
    history = History(SPACE, observed(*zip(values, [.5, None, math.nan, math.inf, 1e31, -math.inf])))
    assert np.isnan(history.objectives).tolist() == [False, True, True, True, True, True]
    assert history.best(range(6)) == 0 and history.best([1, 2]) is None


@pytest.mark.parametrize('search', [RandomSearch(), BayesianSearch(exploit='best'), GridSearch(points=[
    item['values'] for item in some(3)])])
def test_the_best_of_the_cycle_is_exploited(search):
    sets = [item['values'] for item in some(5)]
    past = observed((sets[0], .01), cycle=1)
    present = observed((sets[1], math.nan), (sets[2], .3), (sets[3], .2), (sets[4], .2), cycle=2)
    assert search.choose(SPACE, past + present, 0) == sets[3]
    assert search.choose(SPACE, past + present, 0, cycle=1) == sets[0]


@pytest.mark.parametrize('settings', ALL_SEARCHES)
def test_training_goes_on_where_all_trials_failed(settings):
    search = TASK_UTILS.build(settings)
    failed = [dict(item, objective=math.inf) for item in some(2)]
    chosen = search.choose(SPACE, failed, 0)
    assert SPACE.check(chosen) == chosen and chosen not in [item['values'] for item in failed]
    assert search.suggest(SPACE, failed, 0) not in [item['values'] for item in failed]
    assert search.explain(SPACE, failed, chosen) == {}


def test_small_spaces_are_used_up_before_anything_comes_twice():
    space = ranks_space(3, 2)
    for search in (RandomSearch(), BayesianSearch(), BayesianSearch(num_random=1)):
        found = explore(search, space, lambda values: values['k'] * values['p'], 0, 6)
        assert len({tuple(item['values'].values()) for item in found}) == 6
        assert space.check(search.suggest(space, found, 0)) in [item['values'] for item in found]  # none are left
    assert BayesianSearch().choose(space, found[:5], 0) == found[5]['values']
    # More points than are listed as candidates: the last one is found all the same.
    space = ranks_space(8, 16)
    everything = [dict(k=k, p=p) for k in range(1, 9) for p in range(1, 17)]
    tried = observed(*((values, 1.) for values in everything if values != dict(k=7, p=11)))
    assert BayesianSearch(num_candidates=5).choose(space, tried, 0) == dict(k=7, p=11)
    assert RandomSearch().suggest(space, tried, 0) == dict(k=7, p=11)


def test_every_cycle_may_try_what_others_have_tried():
    space = ranks_space(3, 2)
    past = explore(RandomSearch(), space, lambda values: 1., 0, 6)
    draw = BayesianSearch(num_random=9)
    present = []
    for trial in range(6):
        values = draw.suggest(space, past + present, 0, cycle=2)
        assert values == draw.suggest(space, present, 0, cycle=2)
        assert values not in [item['values'] for item in present]
        present.append(dict(values=values, objective=1., cycle=2, trial=trial))


def test_what_is_left_is_drawn(monkeypatch):
    """Where draws of all do not find it, and the first that is left is not always taken."""
    monkeypatch.setattr(base, '_DRAWS', 0)
    space = ranks_space(3, 2)
    tried = observed((dict(k=1, p=1), 1.), (dict(k=2, p=1), 1.), (dict(k=3, p=2), 1.), cycle=1)
    drawn = [tuple(RandomSearch().suggest(space, tried, seed).values()) for seed in range(60)]
    # 20 of each are expected, with a standard deviation of 3.7.
    assert {values: drawn.count(values) for values in {(1, 2), (2, 2), (3, 1)}} == pytest.approx(
        {(1, 2): 20, (2, 2): 20, (3, 1): 20}, abs=11)


# ---- grid ------------------------------------------------------------------------------------------------------------


def test_a_grid_in_its_order():
    search, space = GridSearch(values=dict(k=[1, 8], p=[2, 3])), ranks_space()
    assert len(search) == 4
    found = explore(search, space, lambda values: abs(values['k'] - 8) + abs(values['p'] - 2), 0, 5)
    assert [tuple(item['values'].values()) for item in found] == [(1, 2), (1, 3), (8, 2), (8, 3), (1, 2)]
    assert search.choose(space, found, 0) == dict(k=8, p=2)
    assert search.suggest(space, found, 0, cycle=2) == dict(k=1, p=2)  # a new cycle starts over
    points = [dict(p=2, k=5), dict(k=1, p=1)]
    assert explore(GridSearch(points=points), space, bool, 0, 2)[0]['values'] == dict(k=5, p=2)


def test_the_combinations_do_not_depend_on_the_order_of_the_dict():
    points = GridSearch(values=dict(p=[2, 3], k=[8, 1])).points
    assert points == GridSearch(values=dict(k=[8, 1], p=[2, 3])).points
    assert [(point['k'], point['p']) for point in points] == [(8, 2), (8, 3), (1, 2), (1, 3)]


@pytest.mark.parametrize('trials, words', [
    (3, '4 sets and a cycle num_trials=3 trials, so some would never be tried: set num_trials=4, or give 3 sets'),
    (5, '4 sets and a cycle num_trials=5 trials, so the first would be tried again: set num_trials=4, or give 5 sets')])
def test_a_cycle_tries_all_sets_of_a_grid(trials, words):
    search = GridSearch(values=dict(k=[1, 8], p=[2, 3]))
    search.check(ranks_space(), 4)
    with pytest.raises(ValueError, match=words):
        search.check(ranks_space(), trials)


@pytest.mark.parametrize('values, error, words', [
    (dict(k=[1, 9], p=[1]), ValueError, 'set 2 of 2 of GridSearch .*k must be .* got 9'),
    (dict(k=[1, 2.5], p=[1]), TypeError, 'set 2 of 2 .*k must be a whole number .* got 2.5'),
    (dict(k=[1, 2]), ValueError, 'set 1 of 2 .*missing: p'),
    (dict(k=[1], p=[1, 2], m=[0]), ValueError, 'not of this space: m')])
def test_sets_of_a_grid_that_are_not_of_the_space(values, error, words):
    """The last one, too, before the first is tried."""
    with pytest.raises(error, match=words):
        GridSearch(values=values).check(ranks_space(), 2)


def test_grids_that_cannot_be():
    for arguments in (dict(), dict(values=dict(k=[1]), points=[dict(k=1)])):
        with pytest.raises(ValueError, match='either'):
            GridSearch(**arguments)
    for arguments in (dict(values={}), dict(values=dict(k=[])), dict(points=[])):
        with pytest.raises(ValueError, match='at least one set'):
            GridSearch(**arguments)
    for arguments in (dict(values=dict(k=1)), dict(values=[1]), dict(points=[1]), dict(points='ab'),
                      dict(values={1: [1], 'k': [2]})):
        with pytest.raises(TypeError):
            GridSearch(**arguments)
    with pytest.raises(ValueError, match='missing: p'):
        GridSearch(values=dict(k=[1])).suggest(ranks_space(), [], 0)


# ---- Bayesian --------------------------------------------------------------------------------------------------------


def belief_by_hand(space, observations, **more):
    """Mean, deviation and expected improvement everywhere, from the pieces that have tests of their own."""
    points = np.array([space.normalise(item['values']) for item in observations])
    objectives = np.array([item['objective'] for item in observations])
    process = GaussianProcess(points, objectives, **{**dict(bandwidth='samples', noise=1e-3), **more})
    every = [dict(k=k, p=p) for k in range(1, 9) for p in range(1, 17)]
    mean, std = process.predict(np.array([space.normalise(values) for values in every]))
    return every, mean, std, expected_improvement(mean, std, objectives.min())


def rank_trials(count=6):
    return explore(RandomSearch(), ranks_space(), lambda v: (v['k'] - 3) ** 2 / 9 + abs(v['p'] - 9) / 7, 1, count)


@pytest.mark.parametrize('options', [{}, dict(bandwidth=.2), dict(bandwidth=dict(p=.9, k=.1), noise=0.)])
def test_the_largest_expected_improvement_is_chosen(options):
    space, observations = ranks_space(), rank_trials()
    by_hand = {key: [value['k'], value['p']] if isinstance(value, dict) else value for key, value in options.items()}
    every, mean, std, improvement = belief_by_hand(space, observations, **by_hand)
    tried = [item['values'] for item in observations]
    place = max((row for row, values in enumerate(every) if values not in tried), key=lambda row: improvement[row])
    search = BayesianSearch(**options)
    assert search.choose(space, observations, 0) == every[place]
    assert BayesianSearch(num_random=6, **options).suggest(space, observations, 9) == every[place]
    assert search.explain(space, observations, every[place]) == pytest.approx(
        dict(mean=mean[place], std=std[place], expected_improvement=improvement[place]))
    belief = search.fit(space, observations)
    assert belief.best == min(item['objective'] for item in observations)
    points = np.array([space.normalise(values) for values in every])
    assert belief.expected_improvement(points) == pytest.approx(improvement)


def test_candidates_are_drawn_where_there_are_too_many():
    """The chosen set is better than nearly all of the space, and more candidates find better ones."""
    observations = some(8)
    search = BayesianSearch(num_candidates=4000)
    belief = search.fit(SPACE, observations)
    everywhere = belief.expected_improvement(SPACE.sample_points(np.random.default_rng(99), 4000))

    def found(count, seed=0):
        chosen = BayesianSearch(num_candidates=count).choose(SPACE, observations, seed)
        return belief.expected_improvement(SPACE.normalise(chosen)[None])[0]

    assert found(4000) > np.quantile(everywhere, .99) > np.mean([found(1, seed) for seed in range(5)])
    assert found(4000) == pytest.approx(search.explain(SPACE, observations, search.choose(SPACE, observations, 0))[
        'expected_improvement'])
    assert search.choose(SPACE, observations, 0) != search.choose(SPACE, observations, 1)


def test_all_trials_are_random_unless_some_are_guided():
    literal = explore(BayesianSearch(), SPACE, bowl, 5, 8)
    assert literal == explore(RandomSearch(), SPACE, bowl, 5, 8)
    guided = explore(BayesianSearch(num_random=3), SPACE, bowl, 5, 8)
    assert guided[:3] == literal[:3] and guided[3] != literal[3]
    assert BayesianSearch().choose(SPACE, literal, 5) not in [item['values'] for item in literal]
    # Every cycle begins with random trials.
    later = BayesianSearch(num_random=3, history='all').suggest(SPACE, guided, 5, cycle=2)
    assert later == RandomSearch().suggest(SPACE, [], 5, cycle=2)


def test_which_cycles_count():
    space, past = ranks_space(), [dict(item, cycle=1) for item in rank_trials(6)]
    present = [dict(item, cycle=2, objective=1 + item['objective']) for item in rank_trials(9)[6:]]
    cycle, everything = BayesianSearch(), BayesianSearch(history='all')
    shown = space.normalise(dict(k=2, p=9))[None]
    for search, rows in ((cycle, present), (everything, past + present)):
        expected = BayesianSearch().fit(space, [dict(item, cycle=7) for item in rows])
        belief = search.fit(space, past + present)
        assert belief.best == min(item['objective'] for item in rows) == expected.best
        assert np.array_equal(belief.process.predict(shown), expected.process.predict(shown))
    best_ever = min(past + present, key=lambda item: item['objective'])
    assert BayesianSearch(exploit='best', history='all').choose(space, past + present, 0) == best_ever['values']
    assert BayesianSearch(exploit='best').choose(space, past + present, 0) in [item['values'] for item in present]


def test_failed_trials_count_as_the_worst():
    space, observations = ranks_space(), rank_trials(7)
    worst = max(item['objective'] for item in observations[:5])
    told = [*observations[:5], *(dict(item, objective=worst) for item in observations[5:])]
    for bad in (math.nan, math.inf, None, 1e300):
        failed = [*observations[:5], *(dict(item, objective=bad) for item in observations[5:])]
        for at in (dict(k=1, p=1), dict(k=5, p=12)):
            assert BayesianSearch().explain(space, failed, at) == BayesianSearch().explain(space, told, at)
        assert BayesianSearch().choose(space, failed, 0) == BayesianSearch().choose(space, told, 0)
    assert BayesianSearch().fit(space, failed).best == min(item['objective'] for item in observations[:5])


def test_the_worst_is_that_of_what_counts():
    """Failed trials of a cycle are not as bad as the worst of another."""
    space, observations = ranks_space(), rank_trials(6)
    failed = [*observations[:5], dict(observations[5], objective=None)]
    past = [dict(item, cycle=0, objective=50. + item['objective']) for item in observations]
    at = dict(k=5, p=12)
    assert BayesianSearch().explain(space, past + failed, at, cycle=1) == BayesianSearch().explain(space, failed, at)
    told = [*past, *failed[:5], dict(failed[5], objective=max(item['objective'] for item in past))]
    everything = BayesianSearch(history='all')
    assert everything.explain(space, past + failed, at) == pytest.approx(everything.explain(space, told, at))


def test_pending_trials_keep_others_away():
    search, observations = BayesianSearch(num_random=0), some(6)
    first = search.suggest(SPACE, observations, 0)
    pending = [*observations, dict(values=first, objective=None, cycle=1, trial=7, pending=True)]
    second = search.suggest(SPACE, pending, 0)
    before, after = (search.explain(SPACE, rows, first) for rows in (observations, pending))
    assert after['mean'] == pytest.approx(before['mean'], rel=.1)  # the belief is no other, ...
    assert after['std'] < .1 * before['std']  # ... only surer
    assert after['expected_improvement'] < before['expected_improvement']
    assert np.abs(SPACE.normalise(first) - SPACE.normalise(second)).max() > .05
    alone = [dict(item, pending=True, objective=None) for item in some(2)]
    assert search.suggest(SPACE, alone, 0) == RandomSearch().suggest(SPACE, alone, 0)


@pytest.mark.parametrize('objectives', [[.4], [.4, .4, .4], [1e29, -1e29, 0.], [1e-300, 0., 2e-300]])
@pytest.mark.parametrize('bandwidth', ['samples', 'likelihood', .3])
def test_objectives_that_are_hard_to_fit(objectives, bandwidth):
    observations = [dict(item, objective=value) for item, value in zip(some(3), objectives)]
    search = BayesianSearch(num_random=0, bandwidth=bandwidth, num_candidates=200)
    tried = [item['values'] for item in observations]
    for values in (search.suggest(SPACE, observations, 0), search.choose(SPACE, observations, 0)):
        assert SPACE.check(values) == values and values not in tried
        assert all(map(math.isfinite, search.explain(SPACE, observations, values).values()))


def test_repeated_sets_with_other_objectives():
    values = some(1)[0]['values']
    observations = observed((values, .1), (values, .9), (some(2)[1]['values'], .5))
    for noise in (0., 1e-3):
        search = BayesianSearch(num_random=0, noise=noise, num_candidates=200)
        assert search.suggest(SPACE, observations, 0) != values


@pytest.mark.parametrize('options, error, words', [
    (dict(num_random=-1), ValueError, 'num_random must be at least 0'), (dict(num_random=1.5), TypeError, 'num_random'),
    (dict(num_candidates=0), ValueError, 'num_candidates must be at least 1'),
    (dict(exploit='mean'), ValueError, "exploit must be 'expected_improvement' or 'best', got 'mean'"),
    (dict(history='run'), ValueError, "history must be 'cycle' or 'all'"), (dict(noise=-1), ValueError, 'noise'),
    (dict(noise=math.inf), ValueError, 'noise'), (dict(bandwidth='wide'), ValueError, 'bandwidth must be'),
    (dict(bandwidth=-1), ValueError, 'positive'), (dict(bandwidth=dict(k=0)), ValueError, 'positive'),
    (dict(bandwidth=math.nan), ValueError, 'positive'), (dict(noise='a'), TypeError, "noise must be a number, got 'a'"),
    (dict(noise=None), TypeError, 'noise must be a number, got None'), (dict(noise=True), TypeError, 'noise'),
    (dict(bandwidth=[.1, .2]), TypeError, 'a dict by the names of the parameters'),
    *((dict(bandwidth=value), TypeError, 'bandwidth must be a number')
      for value in ([], {}, True, None, dict(k='1'), dict(k=False), {1: .2})),
])
def test_options_that_cannot_be(options, error, words):
    with pytest.raises(error, match=words):
        BayesianSearch(**options)


def test_bandwidths_by_name_are_those_of_the_space():
    for names in ('k', 'kpm'):
        with pytest.raises(ValueError, match=f'one for each of k, p, got {", ".join(names)}'):
            BayesianSearch(bandwidth=dict.fromkeys(names, .2)).check(ranks_space(), 8)
    for bandwidth in (dict(p=.2, k=.1), .2, 'samples'):
        BayesianSearch(bandwidth=bandwidth).check(ranks_space(), 8)
    assert type(BayesianSearch(bandwidth=np.int64(1)).settings()['bandwidth']) is float


# ---- what it is worth ------------------------------------------------------------------------------------------------


def test_guided_trials_beat_random_ones():
    """Both see 16 sets; the median over seeds of the lowest objective."""
    lowest = {name: [min(item['objective'] for item in explore(search, SPACE, bowl, seed, 16)) for seed in range(9)]
              for name, search in dict(random=RandomSearch(),
                                       guided=BayesianSearch(num_random=4, num_candidates=2000)).items()}
    assert median(lowest['guided']) < .5 * median(lowest['random'])
    assert sum(a < b for a, b in zip(lowest['guided'], lowest['random'])) >= 7


def test_the_choice_beats_one_more_random_trial():
    """Algorithm 1 as it is written: 16 random trials, then the set of the largest expected improvement."""
    chosen, drawn = [], []
    for seed in range(9):
        observations = explore(RandomSearch(), SPACE, bowl, seed, 16)
        chosen.append(bowl(BayesianSearch(num_candidates=2000).choose(SPACE, observations, seed)))
        drawn.append(bowl(RandomSearch().suggest(SPACE, observations, seed)))
    assert median(chosen) < .5 * median(drawn)
