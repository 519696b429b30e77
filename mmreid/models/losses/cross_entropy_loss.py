"""Cross-entropy over identities."""

import torch
import torch.nn.functional as F
from torch import nn

from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    r"""Softmax cross-entropy, optionally against smoothed targets.

    .. math:: \ell = -\sum_k \big((1-\epsilon)\,\delta_{k,y} + \epsilon / K\big) \log p_k

    Averaged over the rows whose label is not -1, and zero (but connected to the graph) if there is none. Computed in
    float32. Label smoothing: `Rethinking the Inception Architecture <https://arxiv.org/abs/1512.00567>`_.

    Args:
        label_smoothing (float): :math:`\epsilon` in [0, 1). Defaults to 0.
        loss_weight (float): Factor of the loss. Defaults to 1.

    Shape:
        logits ``(N, K)`` float, labels ``(N,)`` int64 -> scalar.
    """

    def __init__(self, label_smoothing: float = 0.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f'label_smoothing must be in [0, 1), got {label_smoothing}')
        self.label_smoothing, self.loss_weight = label_smoothing, loss_weight

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss."""
        total = F.cross_entropy(
            at_least_float32(logits),
            labels,
            ignore_index=-1,
            reduction='sum',
            label_smoothing=self.label_smoothing)
        return self.loss_weight * total / (labels != -1).sum().clamp(min=1)
