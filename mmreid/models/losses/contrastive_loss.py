"""Contrastive loss of pairs."""

import torch
from torch import nn

from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS


@MODELS.register_module()
class ContrastiveLoss(nn.Module):
    r"""Margin-based contrastive loss of pairs, Eq. (3) of `Deep Learning Face Representation by Joint
    Identification-Verification <https://arxiv.org/abs/1406.4773>`_ (after Hadsell et al., 2006).

    .. math::
        \ell = \frac1P \sum_p \tfrac12 d_p^2 \text{ (same)} \quad\text{or}\quad
        \tfrac12 \max(m - d_p, 0)^2 \text{ (different)}

    Computed in float32. No pairs give zero, connected to the graph.

    Args:
        margin (float): Distance that different people shall have at least. Defaults to 1.
        loss_weight (float): Factor of the loss. Defaults to 1.

    Shape:
        distances ``(P,)`` float, same ``(P,)`` bool -> scalar.

    Raises:
        ValueError: If ``margin`` is not positive.
    """

    def __init__(self, margin: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f'margin must be positive, got {margin}')
        self.margin, self.loss_weight = margin, loss_weight

    def forward(self, distances: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
        """Compute the loss."""
        distances = at_least_float32(distances)
        gaps = torch.where(same.bool(), distances, (self.margin - distances).clamp(min=0))
        return self.loss_weight * 0.5 * gaps.square().sum() / max(1, len(distances))
