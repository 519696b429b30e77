"""Eq. 9 by hand."""

import math

import pytest

from mmreid.engine.progressive.objective import relative_drop


@pytest.mark.parametrize('losses, expected, objective', [
    ([10.0, 8.5], 0.15, 0.0),
    ([10.0, 6.0], 0.15, 0.25),
    ([10.0, 11.0], 0.15, 0.25),  # it rose by a tenth
    ([8.0, 12.0, 6.0, 2.0], 0.15, 0.45),  # from 10 to 4
    ([10.0, 1e9, 9.0], 0.15, 0.05),  # the middle one belongs to neither half
    ([4.0, 6.0, 123.0, 2.0, 4.0], 0.0, 0.4),
    ([10.0] * 10 + [8.0] * 10, 0.2, 0.0),
    ([0.0, 0.0], 0.15, 0.15),  # nothing is there that could drop
    ([0.0, 1.0], 0.15, math.inf),
    ([1.0, math.nan], 0.15, math.inf),
    ([math.inf, 1.0, 1.0, 1.0], 0.15, math.inf),
    ([10.0, math.nan, 9.0], 0.15, math.inf),
    ([1e-308, 1e308], 0.15, math.inf),  # the quotient overflows
])
def test_by_hand(losses, expected, objective):
    assert relative_drop(losses, expected) == pytest.approx(objective, abs=1e-12)


@pytest.mark.parametrize('losses', [[], [1.0]])
def test_one_epoch_has_no_halves(losses):
    with pytest.raises(ValueError, match=f'at least 2 epochs, got {len(losses)}'):
        relative_drop(losses)
