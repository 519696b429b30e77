"""BNNeck: one feature for the metric loss, its normalised twin for the classifier and for retrieval."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmreid.models.layers import build_pool, require_batch
from mmreid.registry import MODELS


@MODELS.register_module()
class BNNeck(BaseModule):
    """Global pooling followed by batch normalisation without a learnable shift.

    See `Bag of Tricks and A Strong Baseline for Deep Person Re-identification <https://arxiv.org/abs/1903.07071>`_.

    Args:
        in_channels (int): Channels of the last map.
        pool (str or dict): ``'avg'``, ``'max'``, ``'gem'`` or a layer config. Defaults to ``'avg'``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of maps, the last ``(N, in_channels, H, W)`` -> ``dict(feat_before_bn=..., feat=...)``, both
        ``(N, in_channels)``: a triplet head reads the first, an id head and retrieval the second.
    """

    def __init__(self, in_channels: int, pool: str | dict = 'avg', init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.pool = build_pool(pool)
        self.norm = nn.BatchNorm1d(in_channels)
        self.norm.bias.requires_grad_(False)

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pool and normalise the last map."""
        pooled = self.pool(maps[-1])
        require_batch(self.norm, pooled)
        return dict(feat_before_bn=pooled, feat=self.norm(pooled))
