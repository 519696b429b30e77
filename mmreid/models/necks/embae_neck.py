"""Metric embedding on the pooled features that an autoencoder reconstructs."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule

from mmreid.models.layers import DenseEncoder, build_pool, require_batch
from mmreid.registry import MODELS


@MODELS.register_module()
class EmbAENeck(BaseModule):
    """Global pooling and two dense layers to the metric embedding of EmbAE (section 3.2).

    The embedding is ``z_id``, with the parameters theta_emb in ``neck.embedding``: linear, ReLU, batch norm, linear
    (:class:`DenseEncoder`). The pooled features go along: an :class:`EmbAEHead` makes ``z_nui`` of them and
    reconstructs them.

    Args:
        in_channels (int): Channels of the last map. Defaults to 1024, those of a :class:`MobileNetV1` of width 1.
        hidden_channels (int): Width of the hidden layer. Defaults to 1024.
        feat_channels (int): Length of the embedding. Defaults to 128.
        pool (str or dict): ``'avg'``, ``'max'``, ``'gem'`` or a layer config. Defaults to ``'avg'``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of maps, the last ``(N, in_channels, H, W)`` ->
        ``dict(feat=(N, feat_channels), pooled=(N, in_channels))``.

    Raises:
        ValueError: If a length is not positive, the last map has other channels, or a batch of one image is to be
            normalised with statistics of its own.

    Example:
        >>> model = dict(
        ...     backbone=dict(type='MobileNetV1'),
        ...     neck=dict(type='EmbAENeck'),
        ...     heads=dict(tri=dict(type='TripletHead', loss=dict(type='TripletLoss', margin=None))))
    """

    def __init__(self,
                 in_channels: int = 1024,
                 hidden_channels: int = 1024,
                 feat_channels: int = 128,
                 pool: str | dict = 'avg',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.pool = build_pool(pool)
        self.embedding = DenseEncoder(in_channels, feat_channels, hidden_channels)

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pool and embed the last map."""
        pooled = self.pool(maps[-1])
        if pooled.shape[1] != self.in_channels:
            raise ValueError(f'EmbAENeck was built for maps of in_channels={self.in_channels}, the last map of the '
                             f'backbone has {pooled.shape[1]}; set in_channels of neck and heads.ae to that')
        require_batch(self.embedding, pooled)
        return dict(feat=self.embedding(pooled), pooled=pooled)
