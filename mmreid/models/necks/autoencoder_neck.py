"""The encoder of an autoencoder as the end of a network."""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_activation_layer
from torch import nn

from mmreid.registry import MODELS

from .reduction_neck import ReductionNeck


@MODELS.register_module()
class AutoencoderNeck(ReductionNeck):
    """A :class:`ReductionNeck` and an encoder on its feature, whose code is the feature of the network.

    The comparison "AE" of `Deep Transfer Learning for Person Re-identification <https://arxiv.org/abs/1611.05244>`_
    (section 5.6): the feature of the base network, 1024 numbers of GoogLeNet, goes into a middle layer of 512, and an
    :class:`AutoencoderHead` makes the feature of it again. At test time only the encoder is left.

    Everything up to the feature is named as in the :class:`ReductionNeck` (or the ``DTLNeck`` without auxiliary
    branches) of a plain network, so that it can be taken from its checkpoints: ``load_parts=('backbone',)``, with
    ``'neck.reduction'`` where there is such a layer. To train the autoencoder alone, with the base network and its
    batch-norm statistics as they are, give a :class:`~mmreid.engine.hooks.PhaseHook` one phase with
    ``trainable=('neck.encoder', 'heads.ae')``; without it the encoder's gradient trains the base network, too.

    Args:
        in_channels (int): Channels of the last map.
        code_channels (int): Length of the code. Defaults to 512.
        feat_channels (int, optional): Length of the base feature; None leaves the pooled map as it is. Defaults to
            None.
        act_cfg (dict, optional): Activation of the code; None makes the autoencoder linear. The paper names none.
            Defaults to ``dict(type='ReLU')``.
        **kwargs: ``pool``, ``reduction_cfg`` and ``init_cfg`` of :class:`ReductionNeck`.

    Shape:
        tuple of maps, the last ``(N, in_channels, H, W)`` ->
        ``dict(base=(N, feat_channels or in_channels), feat=(N, code_channels))``.

    Raises:
        ValueError: If ``code_channels`` is not positive.

    Example:
        >>> model = dict(
        ...     neck=dict(type='AutoencoderNeck', in_channels=1024),
        ...     heads=dict(ae=dict(type='AutoencoderHead', out_channels=1024)))
    """

    def __init__(self,
                 in_channels: int,
                 code_channels: int = 512,
                 feat_channels: int | None = None,
                 act_cfg: dict | None = dict(type='ReLU'),  # noqa: B006 (never changed)
                 **kwargs) -> None:
        super().__init__(in_channels, feat_channels, **kwargs)
        if code_channels < 1:
            raise ValueError(f'code_channels of AutoencoderNeck must be positive, got {code_channels}')
        linear = nn.Linear(feat_channels or in_channels, code_channels)
        nn.init.kaiming_normal_(linear.weight, mode='fan_in', nonlinearity='relu' if act_cfg else 'linear')
        nn.init.zeros_(linear.bias)
        self.encoder = nn.Sequential(linear)
        if act_cfg is not None:
            self.encoder.append(build_activation_layer(act_cfg))

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pool, reduce and encode the last map."""
        base = super().forward(maps)['feat']
        return dict(base=base, feat=self.encoder(base))
