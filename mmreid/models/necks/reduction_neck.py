"""Pooling and reduction of the last feature map."""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import nn

from mmreid.models.layers import build_pool, require_batch
from mmreid.registry import MODELS


def reduction(in_channels: int,
              out_channels: int,
              bias: bool | None = None,
              norm_cfg: dict | None = None,
              act_cfg: dict | None = None) -> nn.Sequential:
    """A 1x1 convolution on a pooled map, that is a linear layer on a vector.

    Before average pooling and after it a 1x1 convolution gives the same; after it, it is cheaper by the map's area.

    Args:
        in_channels (int): Length of the vector.
        out_channels (int): Length of the feature.
        bias (bool, optional): Whether there is a bias. Defaults to None: unless a norm follows, which cancels it. Set
            it to False where the first layer of the only head ends in batch norm, for the same reason: the bias would
            never learn.
        norm_cfg (dict, optional): Norm of the feature, such as ``dict(type='BN1d')``. Defaults to None.
        act_cfg (dict, optional): Activation of the feature, such as ``dict(type='ReLU')``. Defaults to None.
    """
    linear = nn.Linear(in_channels, out_channels, bias=norm_cfg is None if bias is None else bias)
    nn.init.kaiming_normal_(linear.weight, mode='fan_in')
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    layers: list[nn.Module] = [linear]
    if norm_cfg is not None:
        layers.append(build_norm_layer(norm_cfg, out_channels)[1])
    if act_cfg is not None:
        layers.append(build_activation_layer(act_cfg))
    return nn.Sequential(*layers)


@MODELS.register_module()
class ReductionNeck(BaseModule):
    """Global pooling, then a 1x1 convolution to the feature vector: PTL's network without its cells.

    Args:
        in_channels (int): Channels of the last map.
        feat_channels (int, optional): Length of the feature; None leaves the pooled map as it is. Defaults to 1024.
        pool (str or dict): ``'avg'``, ``'max'``, ``'gem'`` or a layer config. Defaults to ``'avg'``.
        reduction_cfg (dict, optional): ``bias``, ``norm_cfg`` and ``act_cfg`` of :func:`reduction`. Defaults to None:
            a bias, no norm, no activation.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of maps, the last ``(N, in_channels, H, W)`` -> ``dict(feat=(N, feat_channels))``.
    """

    def __init__(self,
                 in_channels: int,
                 feat_channels: int | None = 1024,
                 pool: str | dict = 'avg',
                 reduction_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.pool = build_pool(pool)
        self.reduction: nn.Module = nn.Identity()
        if feat_channels is not None:
            self.reduction = reduction(in_channels, feat_channels, **(reduction_cfg or {}))

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pool and reduce the last map."""
        pooled = self.pool(maps[-1])
        require_batch(self.reduction, pooled, 'norm_cfg=None in reduction_cfg of the ReductionNeck')
        return dict(feat=self.reduction(pooled))
