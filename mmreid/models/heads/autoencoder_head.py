"""The decoder of an autoencoder on the feature of a network."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample


@MODELS.register_module()
class AutoencoderHead(BaseModule):
    r"""Decoder and reconstruction loss, Eq. (4) of `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_ (section 5.6), averaged over the images of a batch.

    .. math:: J(x_i) = \tfrac12 \big\| \phi(x_i) - f_d(f_e(\phi(x_i))) \big\|_2^2

    The encoder :math:`f_e` is in :class:`AutoencoderNeck`, which gives :math:`\phi(x)` and its code. The decoder is one
    linear layer. No label is read. The target :math:`\phi(x_i)` is a constant: the loss never moves the network towards
    features that are easy to reconstruct, the easiest of which is the same one for every image, by its target.

    Logged: ``residual``, the share (in percent) of the squared length of the features that is not reconstructed.
    (``relative_error`` of an :class:`EmbAEHead` is a share of their variance, and no percentage: there the mean of all
    features alone counts for nothing.)

    Args:
        out_channels (int): Length of :math:`\phi(x)`.
        code_channels (int): Length of the code. Defaults to 512.
        in_key (str): Embedding with the code. Defaults to ``'feat'``.
        target_key (str): Embedding with :math:`\phi(x)`. Defaults to ``'base'``.
        loss_weight (float): Factor of the loss. Defaults to 1.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If a length is not positive or the embeddings are of other lengths.
    """

    def __init__(self,
                 out_channels: int,
                 code_channels: int = 512,
                 in_key: str = 'feat',
                 target_key: str = 'base',
                 loss_weight: float = 1.0,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        for name, value in dict(out_channels=out_channels, code_channels=code_channels).items():
            if value < 1:
                raise ValueError(f'{name} of AutoencoderHead must be positive, got {value}')
        self.in_key, self.target_key, self.loss_weight = in_key, target_key, loss_weight
        self.decoder = nn.Linear(code_channels, out_channels)
        nn.init.kaiming_normal_(self.decoder.weight, mode='fan_in', nonlinearity='linear')
        nn.init.zeros_(self.decoder.bias)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        """Features ``(N, out_channels)`` as decoded from codes ``(N, code_channels)``."""
        return self.decoder(code)

    def loss(self, feats: dict[str, torch.Tensor],
             data_samples: Sequence[ReIDDataSample] | None = None) -> dict[str, torch.Tensor]:
        """Loss of a batch; what is known of its images is not read.

        Raises:
            KeyError: If the neck does not give both embeddings.
            ValueError: If they are of other lengths than the head was built for.
        """
        for name, key in dict(in_key=self.in_key, target_key=self.target_key).items():
            if key not in feats:
                raise KeyError(f'AutoencoderHead reads {name}={key!r}, the neck gives {sorted(feats)}; use '
                               'AutoencoderNeck')
        lengths = feats[self.in_key].shape[-1], feats[self.target_key].shape[-1]
        expected = self.decoder.in_features, self.decoder.out_features
        if lengths != expected:
            raise ValueError(f'AutoencoderHead decodes codes of {expected[0]} into features of {expected[1]} numbers, '
                             f'the neck gives codes of {lengths[0]} and features of {lengths[1]}: set '
                             'code_channels and out_channels to these')
        return self.loss_by_feat(self(feats[self.in_key]), feats[self.target_key])

    def loss_by_feat(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss and residual from decoded and original features, both ``(N, out_channels)``."""
        target = at_least_float32(target.detach())
        squared = (target - at_least_float32(outputs)).square().sum(1)
        total = target.square().sum().clamp(min=torch.finfo(target.dtype).tiny)
        return dict(loss_ae=self.loss_weight * 0.5 * squared.mean(), residual=100.0 * squared.detach().sum() / total)
