"""Rows of the protocol table."""

import numpy as np
import pytest
import torch

from mmreid.evaluation import PROTOCOLS, Draws, get_protocol


@pytest.mark.parametrize('name, expected', [
    ('market1501', [1, 0, 0, 0]), ('nd', [1, 0, 1, 0]), ('cuhk03', [1, 0, 1, 0]), ('cuhk03-np', [1, 0, 0, 0]),
    ('viper', [1, 0, 1, 0]), ('prid2011', [1, 0, 1, 0]), ('cuhk01', [1, 0, 1, 0]), ('cuhk01-100', [1, 0, 1, 0]),
    ('all', [0, 0, 0, 0])])
def test_excludes(name, expected):
    same_pid, same_camid = [True, True, False, False], [True, False, True, False]
    protocol = get_protocol(name)
    assert protocol is PROTOCOLS[name] and protocol.name == name and protocol.summary.startswith('drops ')
    for make in (np.array, torch.tensor):
        assert protocol.excludes(make(same_pid), make(same_camid)).tolist() == [bool(value) for value in expected]
        assert protocol.junk(make([0, -1, 5])).tolist() == [False, name != 'all', False]


def test_unknown():
    with pytest.raises(ValueError, match="one of market1501, nd, .*, all, got 'cuhk3'; did you mean 'cuhk03'"):
        get_protocol('cuhk3')


def test_draws_in_a_config():
    changed = get_protocol(dict(name='cuhk03', num_draws=3, seed=2))
    assert changed.draws == Draws(num_draws=3, seed=2) and PROTOCOLS['cuhk03'].draws == Draws()
    assert get_protocol(dict(name='viper', splits=[[3, 8], [5]])).draws.splits == ((3, 8), (5, ))
    assert get_protocol(dict(name='nd')) is PROTOCOLS['nd']
    for wrong in (dict(name='nd', num_draws=3), dict(name='cuhk03', draws=3)):
        with pytest.raises(ValueError, match='a protocol with draws may have the settings num_draws, num_pids, seed'):
            get_protocol(wrong)
    with pytest.raises(ValueError, match='protocol must be one of'):
        get_protocol(dict(num_draws=3))


@pytest.mark.parametrize('settings, message', [
    (dict(num_draws=0), 'num_draws must be an integer of at least 1, got 0'),
    (dict(num_pids=-1), 'num_pids must be an integer of at least 1'), (dict(num_draws=2.5), 'an integer of at least 1'),
    (dict(seed=-1), 'seed must be an integer of at least 0, got -1'),
    (dict(splits=()), 'splits must hold'), (dict(splits=((1, 2), ())), 'splits must hold'),
])
def test_wrong_draws(settings, message):
    with pytest.raises(ValueError, match=message):
        Draws(**settings)
