"""Two dense layers from a pooled feature to a code."""

import torch
from torch import nn
from torch.nn import functional as F


class DenseEncoder(nn.Module):
    """Linear, ReLU, batch norm, linear: the embedding and the nuisance encoders of EmbAE (sections 3.2 and 4.2).

    A single row cannot be normalised with statistics of its own. In training it is normalised with the running ones,
    as in evaluation, and leaves them as they are; so an encoder can be given the one image that a camera has in a
    batch. Whoever gives it whole batches should refuse those of one image (:func:`require_batch`).

    Args:
        in_channels (int): Length of the feature.
        out_channels (int): Length of the code.
        hidden_channels (int): Width of the hidden layer. Defaults to 1024.

    Shape:
        ``(N, in_channels)`` -> ``(N, out_channels)``.

    Raises:
        ValueError: If a length is not positive.
    """

    def __init__(self, in_channels: int, out_channels: int, hidden_channels: int = 1024) -> None:
        super().__init__()
        sizes = dict(in_channels=in_channels, out_channels=out_channels, hidden_channels=hidden_channels)
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f'{name} of DenseEncoder must be positive, got {value}')
        self.hidden = initialised(nn.Linear(in_channels, hidden_channels), 'relu')
        self.norm = nn.BatchNorm1d(hidden_channels)
        self.code = initialised(nn.Linear(hidden_channels, out_channels), 'linear')

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode features."""
        return self.code(self._normalise(self.hidden(x).relu()))

    def _normalise(self, x: torch.Tensor) -> torch.Tensor:
        norm = self.norm
        if len(x) == 1 and norm.training and isinstance(norm, nn.BatchNorm1d):
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
        return norm(x)


def initialised(linear: nn.Linear, nonlinearity: str) -> nn.Linear:
    """Draw the weights of a layer by its inputs (Kaiming) for what follows it, and set its bias to zero."""
    nn.init.kaiming_normal_(linear.weight, mode='fan_in', nonlinearity=nonlinearity)
    nn.init.zeros_(linear.bias)
    return linear
