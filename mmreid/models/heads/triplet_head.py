"""Metric learning on the embedding itself."""

import torch

from mmreid.models.losses import valid_anchors
from mmreid.registry import MODELS

from .base import ReIDHead


@MODELS.register_module()
class TripletHead(ReIDHead):
    """Apply a triplet loss to an embedding; there is nothing to learn in the head.

    Batches should hold several images of each identity (``PKSampler``). The number of rows that have both a positive
    and a negative is logged as ``num_anchors``.

    Args:
        in_key (str): Which embedding to read. Defaults to ``'feat'``.
        loss (dict): Config of the loss. Defaults to ``dict(type='TripletLoss')``.
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    def __init__(self,
                 in_key: str = 'feat',
                 loss: dict = dict(type='TripletLoss'),  # noqa: B006 (never changed)
                 init_cfg: dict | None = None) -> None:
        super().__init__(in_key, init_cfg)
        self.loss_module = MODELS.build(loss)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """Return the embedding as it is."""
        return feat

    def loss_by_feat(self, outputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss and number of anchors."""
        return dict(loss_triplet=self.loss_module(outputs, labels), num_anchors=valid_anchors(labels).sum().float())
