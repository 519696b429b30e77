"""The small Inception of Domain Guided Dropout."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from mmreid.registry import MODELS

from .base import TapBackbone

#: Width of the four branches in the two modules of stages 4, 5 and 6.
WIDTHS = (64, 128, 256)


class PlainInception(nn.Module):
    """A module that keeps the size: 1x1, 3x3, two 3x3, and average pooling with a projection, all of one width.

    Args:
        in_channels (int): Channels of the input.
        width (int): Channels of every convolution.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, 4 * width, H, W)``.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1x1 = conv_bn_relu(in_channels, width, 1)
        self.conv3x3 = nn.Sequential(conv_bn_relu(in_channels, width, 1), conv_bn_relu(width, width, 3))
        self.double3x3 = nn.Sequential(
            conv_bn_relu(in_channels, width, 1), conv_bn_relu(width, width, 3), conv_bn_relu(width, width, 3))
        self.pool = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), conv_bn_relu(in_channels, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branches and lay their outputs behind each other."""
        return torch.cat([self.conv1x1(x), self.conv3x3(x), self.double3x3(x), self.pool(x)], dim=1)


class ReducingInception(nn.Module):
    """A module that halves the size: 3x3 and two 3x3 with stride 2 at their end, and max pooling as it is.

    Args:
        in_channels (int): Channels of the input.
        width (int): Channels of every convolution.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, 2 * width + in_channels, ceil(H / 2), ceil(W / 2))``.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv3x3 = nn.Sequential(conv_bn_relu(in_channels, width, 1), conv_bn_relu(width, width, 3, stride=2))
        self.double3x3 = nn.Sequential(
            conv_bn_relu(in_channels, width, 1), conv_bn_relu(width, width, 3), conv_bn_relu(width, width, 3, stride=2))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branches and lay their outputs behind each other."""
        return torch.cat([self.conv3x3(x), self.double3x3(x), self.pool(x)], dim=1)


@MODELS.register_module()
class DGDNet(TapBackbone):
    """The network of `Learning Deep Feature Representations with Domain Guided Dropout for Person Re-identification
    <https://arxiv.org/abs/1604.07528>`_ (Table 2 there) in front of its global pooling: three convolutions and six
    small Inception modules with batch norm, trained from scratch on images of people, 144 x 56 (height x width).

    ===  ==============================  ======  ========  ================
    tap  what                            stride  channels  map of 144 x 56
    ===  ==============================  ======  ========  ================
    0    image                           1       3         144 x 56
    1    conv1 - conv3, 2x2 max pooling  2       32        72 x 28
    2    inception4a (256), inception4b  4       384       36 x 14
    3    inception5a (512), inception5b  8       768       18 x 7
    4    inception6a (1024), inception6b 16      1536      9 x 4
    ===  ==============================  ======  ========  ================

    Args:
        out_indices (Sequence[int]): Taps to return. Defaults to (4, ).
        frozen_stages (int): See :class:`TapBackbone`. Defaults to -1.
        norm_eval (bool): See :class:`TapBackbone`. Defaults to False.
        init_cfg (dict, optional): See :class:`TapBackbone`; no weights are published for it in a form that loads here,
            so this is for a file of this toolbox. Defaults to None.

    Shape:
        ``(N, 3, H, W)`` -> tuple of maps.

    Note:
        From the table: widths, modules, strides, 3x3 kernels in the stem, 2x2 pooling. As in the networks that the
        authors released for Caffe (``Cysu/dgd_person_reid``): padding 1 of 3x3 convolutions, none of the 2x2 pooling;
        batch norm and ReLU after every convolution; the stride of a reducing module at its last convolutions. As in
        the port to PyTorch of one of them (``Cysu/open-reid``): padding 1 in reducing max pooling, no biases in front
        of batch norm, Kaiming initialisation, normal, fan-out. Caffe's reducing pooling rounds up instead (without
        padding; the last one pads the width), which gives maps of the same size from windows that lie a pixel further;
        its weights are drawn by its ``xavier`` filler. The fully connected layer of 256 that follows the global
        pooling there is no map: ``dict(type='DTLNeck', in_channels=(1536, ), aux=False, feat_channels=256)``.
    """

    tap_channels = (3, 32, 384, 768, 1536)

    def __init__(self,
                 out_indices: Sequence[int] = (4, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg)
        self.conv1 = conv_bn_relu(3, 32, 3)
        self.conv2 = conv_bn_relu(32, 32, 3)
        self.conv3 = conv_bn_relu(32, 32, 3)
        self.pool3 = nn.MaxPool2d(2)
        for stage, width in enumerate(WIDTHS, start=4):
            self.add_module(f'inception{stage}a', PlainInception(self.tap_channels[stage - 3], width))
            self.add_module(f'inception{stage}b', ReducingInception(4 * width, width))
        self._finish()

    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The stem and three pairs of modules."""
        stem = (self.conv1, self.conv2, self.conv3, self.pool3)
        return [stem, *((getattr(self, f'inception{n}a'), getattr(self, f'inception{n}b')) for n in (4, 5, 6))]


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (but for its stride), batch norm and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(out_channels), relu=nn.ReLU(inplace=True)))
