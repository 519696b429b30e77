"""How well a set of hyper-parameters trains, as one number to be minimised."""

import math
from typing import Sequence

#: Objective of a trial that tells nothing: its loss became NaN or infinite.
WORST = math.inf


def relative_drop(losses_per_epoch: Sequence[float], expected_drop: float = 0.15) -> float:
    r"""Distance of the relative drop of the loss from the drop of a healthy training, Eq. (9) of PLA.

    .. math:: f(w) = \left| \frac{\bar L_t - \bar L_{t'}}{\bar L_t} - \mathcal{ED} \right|

    :math:`\bar L_t` and :math:`\bar L_{t'}` are the means over the first and the second half of the epochs (10 and 10
    of the 20 of the paper). Of an odd number of epochs the one in the middle belongs to neither half.

    Args:
        losses_per_epoch (Sequence[float]): Mean composite loss of each epoch of a trial.
        expected_drop (float): :math:`\mathcal{ED}`. Defaults to 0.15.

    Returns:
        float: Zero at best; infinity if a loss is NaN or infinite. Where the first half is exactly zero, the quotient
        does not exist: a loss that stays zero drops by nothing (``expected_drop``), one that rises from zero rises
        without bound (infinity).

    Raises:
        ValueError: If there are fewer than two epochs, which have no two halves.
    """
    if len(losses_per_epoch) < 2:
        raise ValueError(f'the objective compares two halves of a trial: expected at least 2 epochs, got '
                         f'{len(losses_per_epoch)}')
    if not all(map(math.isfinite, losses_per_epoch)):
        return WORST
    half = len(losses_per_epoch) // 2
    first = math.fsum(losses_per_epoch[:half]) / half
    second = math.fsum(losses_per_epoch[-half:]) / half
    if first == 0:
        return abs(expected_drop) if second == 0 else WORST
    value = abs((first - second) / first - expected_drop)
    return value if math.isfinite(value) else WORST
