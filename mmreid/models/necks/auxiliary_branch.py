"""An embedding from the middle of a network."""

from collections import OrderedDict

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, caffe2_xavier_init
from torch import nn
from torch.nn import functional as F

from mmreid.registry import MODELS

#: Side of the pooled map.
SIDE = 4
POOLS = ('adaptive', '5x5')
#: What the published training of GoogLeNet starts biases with, so that no unit is dead.
BIAS = 0.2


@MODELS.register_module()
class AuxiliaryBranch(BaseModule):
    """The auxiliary branch of `Going Deeper with Convolutions <https://arxiv.org/abs/1409.4842>`_, section 5, up to its
    fully connected layer: average pooling to 4x4 -> 1x1 convolution -> ReLU -> fully connected -> ReLU.

    Its dropout and its classifier belong to the heads that read it, of which there may be several (`Deep Transfer
    Learning for Person Re-identification <https://arxiv.org/abs/1611.05244>`_, section 5.2, "Auxiliary losses").

    Args:
        in_channels (int): Channels of the map.
        feat_channels (int): Length of the embedding. Defaults to 1024.
        mid_channels (int): Width of the 1x1 convolution. Defaults to 128.
        pool (str): ``'adaptive'`` pools a map of any size from 4x4 on, with windows that follow its sides, as
            torchvision does; ``'5x5'`` has the windows of the paper, 5x5 with stride 3, which fit maps of 14 to 16 on
            a side (an input of 224x224). Defaults to ``'adaptive'``.
        norm_cfg (dict, optional): Norm after the convolution, which has no bias then, such as ``dict(type='BN')`` of
            torchvision's branch. Defaults to None, as in the paper.
        stride (int): Stride of the map with respect to the input, for the text of an error only. Defaults to 16.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, feat_channels)``, not negative.

    Raises:
        ValueError: If ``pool`` is not known or the map is too small for it (or, for ``'5x5'``, too large).

    Note:
        Weights are drawn as in the training of GoogLeNet that was published with Caffe: uniform with the variance
        ``1 / fan_in``, biases 0.2. torchvision's file has an ``aux.conv`` and an ``aux.fc1``, but they are not trained,
        as torchvision says; so they are not taken.
    """

    def __init__(self,
                 in_channels: int,
                 feat_channels: int = 1024,
                 mid_channels: int = 128,
                 pool: str = 'adaptive',
                 norm_cfg: dict | None = None,
                 stride: int = 16,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool of AuxiliaryBranch must be one of {POOLS}, got {pool!r}')
        self.pool, self.stride = pool, stride
        conv = nn.Conv2d(in_channels, mid_channels, 1, bias=norm_cfg is None)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
        if norm_cfg is not None:
            layers['norm'] = build_norm_layer(norm_cfg, mid_channels)[1]
        self.conv = nn.Sequential(layers)
        self.fc = nn.Linear(mid_channels * SIDE * SIDE, feat_channels)
        for layer in (conv, self.fc):
            caffe2_xavier_init(layer, bias=BIAS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed a map."""
        x = F.relu(self.conv(self._pooled(x)))
        return F.relu(self.fc(x.flatten(1)))

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        sides = x.shape[2:]
        if self.pool == 'adaptive':
            if min(sides) < SIDE:
                raise ValueError(f'{self._got(x)}. It must be at least {SIDE} x {SIDE}, so images must be at least '
                                 f'{self._input_of(SIDE)}. Or leave the auxiliary branches out (aux=False of DTLNeck).')
            return F.adaptive_avg_pool2d(x, SIDE)
        if not all(14 <= side <= 16 for side in sides):
            raise ValueError(f'{self._got(x)}. Windows of 5x5 with stride 3 give 4x4 for sides of 14 to 16 only, so '
                             f'images must be {self._input_of(14)}. Or say pool="adaptive".')
        return F.avg_pool2d(x, 5, stride=3)

    def _got(self, x: torch.Tensor) -> str:
        height, width = x.shape[2:]
        return (f'an auxiliary branch pools its map to {SIDE}x{SIDE}, got one of {height} x {width} (height x width; '
                f'at stride {self.stride}, an input of about {height * self.stride} x {width * self.stride})')

    def _input_of(self, side: int) -> str:
        size = side * self.stride
        return f'{size} x {size}, for example dict(type="Resize", scale=({size}, {size}))'
