"""A layer that is the identity forwards and turns the gradient round backwards."""

import math
from typing import Any

import torch
from torch import nn


class _Reverse(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, coefficient: float) -> torch.Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.coefficient * gradient, None


class GradientReversal(nn.Module):
    r"""Gradient reversal of `Unsupervised Domain Adaptation by Backpropagation <https://arxiv.org/abs/1409.7495>`_.

    .. math:: R_\lambda(x) = x, \qquad \frac{dR_\lambda}{dx} = -\lambda I

    What stands behind the layer is trained to lower its loss, what stands in front of it to raise the same loss.

    Args:
        coefficient (float): :math:`\lambda`, at least 0; with 0 nothing reaches what stands in front. It may be
            changed at any time (:attr:`coefficient`) and is no part of a state dict. Defaults to 1.

    Shape:
        any -> the same.

    Raises:
        ValueError: If the coefficient is negative (which would be no reversal) or not finite.
    """

    def __init__(self, coefficient: float = 1.0) -> None:
        super().__init__()
        self.coefficient = coefficient

    @property
    def coefficient(self) -> float:
        """What the gradient is multiplied by, besides -1."""
        return self._coefficient

    @coefficient.setter
    def coefficient(self, value: float) -> None:
        self._coefficient = check_coefficient(value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pass on."""
        return _Reverse.apply(x, self._coefficient)

    def extra_repr(self) -> str:
        """The coefficient, shown in the printed model."""
        return f'coefficient={self.coefficient:g}'


def check_coefficient(value: float) -> float:
    """A coefficient of gradient reversal as a float.

    Raises:
        ValueError: If it is negative or not finite.
    """
    value = float(value)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f'the coefficient of gradient reversal must be at least 0 and finite, got {value}; the minus '
                         'sign is that of the layer, a negative coefficient would reverse nothing')
    return value
