"""Which attributes are searched, between which bounds."""

import json

import numpy as np
import pytest
import torch
from mmengine.model import BaseModule, MMDistributedDataParallel
from torch import nn

from mmreid.engine.progressive import SearchSpace
from mmreid.utils.distributed import close_process_group

from .spaces import TARGET, paper_space, ranks_space

NAMES = ('loss_weight', 'margin', 'k', 'p')


class Loss(nn.Module):
    """Hyper-parameters, one of them checked by a property."""

    def __init__(self):
        super().__init__()
        self.loss_weight, self.margin, self.k, self._p = 1., 0., 8, 1
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def p(self):
        return self._p

    @p.setter
    def p(self, value):
        if value == 13:
            raise ValueError('no 13')
        self._p = value


def model():
    net, head = BaseModule(), nn.Module()
    head.loss_module = Loss()
    net.heads = nn.ModuleDict(dict(tri=head))
    return net


def space_of(**changes):
    return SearchSpace(dict(k={**dict(target='a.k', low=1, high=8, integer=True), **changes}))


# ---- values and points -----------------------------------------------------------------------------------------------


def test_order_and_settings():
    space = paper_space()
    assert space.names == NAMES and len(space) == 4
    again = SearchSpace(json.loads(json.dumps(space.settings())))
    assert again.settings() == space.settings()
    assert space.settings()['margin'] == dict(target=TARGET + 'margin', low=-.1, high=.3, integer=False)
    assert space.settings()['k'] == dict(target=TARGET + 'k', low=1, high=8, integer=True)
    assert repr(ranks_space()) == 'SearchSpace(k in 1..8, p in 1..16)'


def test_the_order_is_that_of_types_and_names():
    """Whatever the order of the dict; points, draws and lists of points follow it."""
    settings = paper_space().settings()
    point = np.random.default_rng(3).random(4)
    for names in (sorted(settings), reversed(NAMES)):
        space = SearchSpace({name: settings[name] for name in names})
        assert space.names == NAMES and list(space.settings()) == list(NAMES)
        assert list(space.check(dict(p=1, k=1, margin=0, loss_weight=0))) == list(NAMES)
        assert space.denormalise(point) == paper_space().denormalise(point)
        assert space.sample(np.random.default_rng(4)) == paper_space().sample(np.random.default_rng(4))


def test_points_by_hand():
    space = paper_space()
    point = space.normalise(dict(loss_weight=.5, margin=.2, k=1, p=16))
    assert point.tolist() == pytest.approx([.25, .75, 0, 1])
    values = space.denormalise([.25, .75, .49 / 7 + 3 / 7, .89])
    assert values == pytest.approx(dict(loss_weight=.5, margin=.2, k=4, p=14))  # 1 + 13.35
    assert list(values) == list(NAMES) and type(values['k']) is int and type(values['margin']) is float
    # Integers and bounds come back exactly; the rest within rounding, and never beyond a bound.
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = space.sample(rng)
        back = space.denormalise(space.normalise(values))
        assert back == pytest.approx(values, abs=1e-12) and (back['k'], back['p']) == (values['k'], values['p'])
    for corner, bounds in (([0] * 4, (0, -.1, 1, 1)), ([1] * 4, (2, .3, 8, 16))):
        assert tuple(space.denormalise(corner).values()) == bounds


def test_snapped_points_are_those_of_their_values():
    space = paper_space()
    points = np.random.default_rng(1).random((50, 4))
    snapped = space.snap(points)
    assert np.array_equal(snapped[:, :2], points[:, :2])
    for before, after in zip(points, snapped):
        assert space.normalise(space.denormalise(before)) == pytest.approx(after, abs=1e-12)
        assert abs(before[2] - after[2]) <= .5 / 7 and abs(before[3] - after[3]) <= .5 / 15


def test_draws_are_even():
    space, rng = paper_space(), np.random.default_rng(0)
    points = space.sample_points(rng, 16_000)
    ks, ps = np.round(points[:, 2] * 7), np.round(points[:, 3] * 15)
    assert np.array_equal(space.snap(points), points)
    # Expected 2000 and 1000, standard deviations 42 and 31: the ends are as likely as the others.
    assert np.bincount(ks.astype(int), minlength=8) == pytest.approx([2000] * 8, abs=200)
    assert np.bincount(ps.astype(int), minlength=16) == pytest.approx([1000] * 16, abs=150)
    assert points[:, :2].mean(axis=0) == pytest.approx([.5, .5], abs=.01)
    assert points[:, :2].var(axis=0) == pytest.approx([1 / 12] * 2, abs=.003)
    drawn = space.sample(np.random.default_rng(5))
    assert drawn == space.sample(np.random.default_rng(5)) != space.sample(np.random.default_rng(6))
    assert space.check(drawn) == drawn


def test_all_points():
    space = ranks_space(3, 2)
    points = space.all_points(6)
    assert [tuple(space.denormalise(point).values()) for point in points] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1),
                                                                              (3, 2)]
    assert space.all_points(5) is None and paper_space().all_points(10 ** 9) is None


# ---- the model -------------------------------------------------------------------------------------------------------


def test_values_are_set_and_read():
    net, space = model(), paper_space()
    assert space.read(net) == dict(loss_weight=1., margin=0., k=8, p=1)
    space.apply(net, dict(p=5, k=2., margin=np.float32(.25), loss_weight=0))
    loss = net.heads.tri.loss_module
    assert (loss.loss_weight, loss.margin, loss.k, loss.p) == (0., .25, 2, 5)
    assert [type(value) for value in space.read(net).values()] == [float, float, int, int]
    loss.margin = 7.  # what is set by hand may lie outside
    assert space.read(net)['margin'] == 7


def test_the_model_inside_a_wrapper_is_meant(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/meet', rank=0, world_size=1)
    try:
        net = model()
        ranks_space().apply(MMDistributedDataParallel(net), dict(k=3, p=2))
        assert net.heads.tri.loss_module.k == 3 and ranks_space().read(net) == dict(k=3, p=2)
    finally:
        close_process_group()


def test_a_refused_value_leaves_all_as_they_were():
    net, space = model(), paper_space()
    with pytest.raises(ValueError, match='no 13'):
        space.apply(net, dict(loss_weight=2, margin=.1, k=4, p=13))
    assert space.read(net) == dict(loss_weight=1., margin=0., k=8, p=1)
    with pytest.raises(ValueError, match='p must be a whole number from 1 to 16, got 17'):
        space.apply(net, dict(loss_weight=2, margin=.1, k=4, p=17))
    assert space.read(net)['loss_weight'] == 1


def test_bounds_that_the_model_takes():
    """All of them are set, and what was there comes back as it was."""
    net, seen = model(), []
    loss = net.heads.tri.loss_module
    loss.loss_weight, loss.margin, loss.k = np.float32(.3), 7, 6

    class Watched(Loss):
        def __setattr__(self, name, value):
            seen.append((name, value))
            super().__setattr__(name, value)

    loss.__class__ = Watched
    paper_space().check_bounds(net)
    assert {('loss_weight', 0.), ('margin', -.1), ('k', 1), ('p', 1), ('loss_weight', 2.), ('margin', .3), ('k', 8),
            ('p', 16)} <= set(seen)
    assert (loss.loss_weight, loss.margin, loss.k, loss.p) == (np.float32(.3), 7, 6, 1)
    assert [type(value) for value in (loss.loss_weight, loss.margin)] == [np.float32, int]


@pytest.mark.parametrize('changes, words', [
    (dict(high=13), 'p=13, which is high of its range in the search space: no 13. Set another high$'),
    (dict(low=13), 'p=13, which is low of its range .*no 13. Set another low$'),
    (dict(low=13, integer=False), 'p=13.0, .*no 13. Set another low; where only whole numbers will do, set integer'),
])
def test_bounds_that_the_model_refuses(changes, words):
    net, settings = model(), paper_space().settings()
    with pytest.raises(ValueError, match=words):
        SearchSpace({**settings, 'p': {**settings['p'], **changes}}).check_bounds(net)
    assert paper_space().read(net) == dict(loss_weight=1., margin=0., k=8, p=1)
    with pytest.raises(AttributeError, match='is not there'):
        space_of(target='heads.k').check_bounds(net)


@pytest.mark.parametrize('target, words', [
    ('heads.trip.loss_module.k', "heads (ModuleDict) has no 'trip'; its parts: tri"),
    ('heads.tri.loss_module.kk', 'its numbers: k, loss_weight, margin, p'),
    ('head.k', "the model (BaseModule) has no 'head'"),
])
def test_unknown_targets(target, words):
    with pytest.raises(AttributeError) as error:
        space_of(target=target).apply(model(), dict(k=1))
    assert words in str(error.value) and f'{target}, the target of k, is not there' in str(error.value)


@pytest.mark.parametrize('target, kind', [('heads.tri.loss_module.scale', 'Parameter'), ('heads.tri', 'Module'),
                                          ('heads.tri.training', 'bool')])
def test_targets_that_are_no_numbers(target, kind):
    with pytest.raises(TypeError, match=f'must be a number, and is {kind}'):
        space_of(target=target).read(model())


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('changes, error, words', [
    (dict(low=8, high=1), ValueError, 'low of .* must be below high, got 8 and 1$'),
    (dict(low=2, high=2), ValueError, 'got 2 and 2; a fixed value is set in the config'),
    (dict(low=1.5), TypeError, 'low of .* must be a whole number, got 1.5'),
    (dict(low=float('nan')), ValueError, 'low of .* must be finite'),
    (dict(high=float('inf')), ValueError, 'high of .* must be finite'),
    (dict(high='8'), TypeError, "high of .* must be a number, got '8'"),
    (dict(high=True), TypeError, 'high of .* must be a number'),
    (dict(integer=1), TypeError, 'True or False, got 1'),
    (dict(target=''), TypeError, 'path of attributes'),
    (dict(target='a..k'), TypeError, 'path of attributes'),
    (dict(step=2), ValueError, 'unknown: step'),
])
def test_parameters_that_cannot_be(changes, error, words):
    with pytest.raises(error, match=words):
        space_of(**changes)


def test_spaces_that_cannot_be():
    with pytest.raises(ValueError, match='missing: high'):
        SearchSpace(dict(k=dict(target='a.k', low=1)))
    with pytest.raises(ValueError, match='at least one'):
        SearchSpace({})
    with pytest.raises(TypeError, match='a dict of parameters'):
        SearchSpace([dict(target='a.k', low=1, high=2)])
    with pytest.raises(TypeError, match='a name with a dict'):
        SearchSpace(dict(k=(1, 8)))
    with pytest.raises(ValueError, match='a.k by several of x, y'):
        SearchSpace({name: dict(target='a.k', low=1, high=2) for name in 'xy'})


@pytest.mark.parametrize('values, error, words', [
    (dict(k=1), ValueError, 'missing: p'), (dict(k=1, p=1, m=1), ValueError, 'not of this space: m'),
    (dict(k=0, p=1), ValueError, 'k must be a whole number from 1 to 8, got 0'),
    (dict(k=9, p=1), ValueError, 'k must be a whole number from 1 to 8, got 9'),
    (dict(k=1.5, p=1), TypeError, 'k must be a whole number from 1 to 8, got 1.5'),
    (dict(k=float('nan'), p=1), ValueError, 'got nan'), (dict(k=True, p=1), TypeError, 'got True'),
    (dict(k='1', p=1), TypeError, "got '1'"), ([1, 1], TypeError, 'a dict of k, p, got list'),
])
def test_values_that_cannot_be(values, error, words):
    with pytest.raises(error, match=words):
        ranks_space().check(values)


@pytest.mark.parametrize('point', [[.5], [.5, .5, .5], [-.1, 0], [1.1, 0], [float('nan'), 0]])
def test_points_that_cannot_be(point):
    with pytest.raises(ValueError, match='2 numbers from 0 to 1'):
        ranks_space().denormalise(point)


def test_a_parameter_of_a_base_is_left_out():
    given = paper_space().settings()
    space = SearchSpace({**given, 'loss_weight': None})
    assert space.settings() == {name: given[name] for name in ('margin', 'k', 'p')}
    with pytest.raises(ValueError, match='at least one parameter'):
        SearchSpace(dict(loss_weight=None))
