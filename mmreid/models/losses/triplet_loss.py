"""Triplet loss with batch-hard mining."""

import torch
import torch.nn.functional as F
from torch import nn

from mmreid.registry import MODELS

from .hard_pairs import anchor_distance, batch_hard


@MODELS.register_module()
class TripletLoss(nn.Module):
    r"""Batch-hard triplet loss, Eq. (5) of `In Defense of the Triplet Loss <https://arxiv.org/abs/1703.07737>`_.

    .. math::
        \ell = \frac1{|A|} \sum_{a \in A} h\Big(\max_{p:\, y_p = y_a} d(a, p) - \min_{n:\, y_n \ne y_a} d(a, n)\Big),
        \qquad h(z) = \max(m + z, 0) \text{ or } \log(1 + e^z)

    :math:`A` are the rows that have a positive other than themselves and a negative; a batch without any gives zero,
    connected to the graph. Distances are computed in float32.

    Args:
        margin (float, optional): Hinge margin; None uses the soft margin. Defaults to 0.3.
        metric (str): Metric of :func:`mmreid.utils.pairwise_distance`. Defaults to ``'euclidean'``.
        loss_weight (float): Factor of the loss. Defaults to 1.

    Shape:
        feats ``(N, C)`` float, labels ``(N,)`` int64, mask ``(N, C)`` float or None -> scalar. With a mask every
        anchor looks at its own channels, see :func:`masked_distance`.

    Raises:
        ValueError: If ``margin`` is negative.
    """

    def __init__(self, margin: float | None = 0.3, metric: str = 'euclidean', loss_weight: float = 1.0) -> None:
        super().__init__()
        if margin is not None and margin < 0:
            raise ValueError(f'margin must not be negative (None: soft margin), got {margin}')
        self.margin, self.metric, self.loss_weight = margin, metric, loss_weight

    def forward(self, feats: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss."""
        return self.with_statistics(feats, labels, mask)[0]

    def with_statistics(self,
                        feats: torch.Tensor,
                        labels: torch.Tensor,
                        mask: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss, and what is worth logging: ``num_anchors``."""
        found = batch_hard(anchor_distance(feats, mask, self.metric), labels)
        gap, number = found.farthest - found.nearest, found.valid.sum()
        losses = F.softplus(gap) if self.margin is None else F.relu(gap + self.margin)
        loss = self.loss_weight * losses.masked_fill(~found.valid, 0).sum() / number.clamp(min=1)
        return loss, dict(num_anchors=number.float())
