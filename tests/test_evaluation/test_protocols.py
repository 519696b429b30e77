"""Rows of the protocol table."""

import numpy as np
import pytest
import torch

from mmreid.evaluation import PROTOCOLS, get_protocol


@pytest.mark.parametrize('name, expected', [('market1501', [1, 0, 0, 0]), ('nd', [1, 0, 1, 0])])
def test_excludes(name, expected):
    same_pid, same_camid = [True, True, False, False], [True, False, True, False]
    protocol = get_protocol(name)
    assert protocol is PROTOCOLS[name] and protocol.name == name and protocol.summary.startswith('drops junk')
    for make in (np.array, torch.tensor):
        assert protocol.excludes(make(same_pid), make(same_camid)).tolist() == [bool(value) for value in expected]
        assert protocol.junk(make([0, -1, 5])).tolist() == [False, True, False]


def test_unknown():
    with pytest.raises(ValueError, match="one of market1501, nd, got 'cuhk'"):
        get_protocol('cuhk')
