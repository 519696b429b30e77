"""The layers of GoogLeNet as they were published: biases, 5x5 convolutions, local response normalisation."""

from collections import OrderedDict

import torch
from mmengine.model import caffe2_xavier_init
from torch import nn

#: Table 1 of the paper: input, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection after the pooling.
INCEPTIONS = {
    'inception3a': (192, 64, 96, 128, 16, 32, 32),
    'inception3b': (256, 128, 128, 192, 32, 96, 64),
    'inception4a': (480, 192, 96, 208, 16, 48, 64),
    'inception4b': (512, 160, 112, 224, 24, 64, 64),
    'inception4c': (512, 128, 128, 256, 24, 64, 64),
    'inception4d': (512, 112, 144, 288, 32, 64, 64),
    'inception4e': (528, 256, 160, 320, 32, 128, 128),
    'inception5a': (832, 256, 160, 320, 32, 128, 128),
    'inception5b': (832, 384, 192, 384, 48, 128, 128),
}
#: What the published training starts biases with, so that no unit is dead.
BIAS = 0.2


class Inception(nn.Module):
    """Four branches side by side, Figure 2(b) of `Going Deeper with Convolutions <https://arxiv.org/abs/1409.4842>`_.

    Args:
        in_channels (int): Channels of the input.
        ch1x1 (int): Width of the 1x1 convolution.
        ch3x3red (int): Width of the 1x1 convolution in front of the 3x3.
        ch3x3 (int): Width of the 3x3 convolution.
        ch5x5red (int): Width of the 1x1 convolution in front of the 5x5.
        ch5x5 (int): Width of the 5x5 convolution.
        pool_proj (int): Width of the 1x1 convolution behind the 3x3 max pooling.

    Shape:
        ``(N, in_channels, H, W)`` -> ``(N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W)``.
    """

    def __init__(self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int,
                 pool_proj: int) -> None:
        super().__init__()
        self.branch1 = conv_relu(in_channels, ch1x1, 1)
        self.branch2 = nn.Sequential(conv_relu(in_channels, ch3x3red, 1), conv_relu(ch3x3red, ch3x3, 3))
        self.branch3 = nn.Sequential(conv_relu(in_channels, ch5x5red, 1), conv_relu(ch5x5red, ch5x5, 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv_relu(in_channels, pool_proj, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branches and lay their outputs behind each other."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class ResponseNorm(nn.LocalResponseNorm):
    """Local response normalisation in float32, also under autocast: the square of 256 is beyond float16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Divide each value by what its neighbours in the channels have."""
        return super().forward(x.float()).to(x.dtype)


def conv_relu(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (but for its stride), with a bias, and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
    caffe2_xavier_init(conv, bias=BIAS)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True)))


def original_layers() -> OrderedDict[str, nn.Module]:
    """All layers in front of the last pooling, by torchvision's names where it has the layer; ``norm1`` and ``norm2``
    are the local response normalisations.

    Note:
        Weights are drawn as in the training that was published with Caffe: "Xavier", there uniform with the variance
        ``1 / fan_in``, and biases of 0.2. The window of the normalisation, 5, and its constants (``alpha`` 1e-4,
        ``beta`` 0.75) are Caffe's, too; the paper gives none.
    """
    layers = OrderedDict(
        conv1=conv_relu(3, 64, 7, stride=2),
        maxpool1=_pool(),
        norm1=ResponseNorm(5),
        conv2=conv_relu(64, 64, 1),
        conv3=conv_relu(64, 192, 3),
        norm2=ResponseNorm(5),
        maxpool2=_pool(),
        maxpool3=_pool(),
        maxpool4=_pool())
    layers.update((name, Inception(*widths)) for name, widths in INCEPTIONS.items())
    return layers


def _pool() -> nn.MaxPool2d:
    # Rounding up, as Caffe does; it gives the sizes of the paper's Table 1.
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
