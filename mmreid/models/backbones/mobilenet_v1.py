"""MobileNet (v1) with taps."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from torch import nn
from torch.nn import functional as F

from mmreid.registry import MODELS

from .base import TapBackbone

#: Channels at width 1 and stride of every depthwise separable block, Table 1.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1), ) * 5, (1024, 2), (1024, 1))
#: Channels at width 1 of the full convolution in front of them.
STEM = 32
#: Blocks (counted from 1) that end in a tap: the last ones at strides 2, 4, 8, 16 and 32.
ENDS = (1, 3, 5, 11, 13)


@MODELS.register_module()
class MobileNetV1(TapBackbone):
    """`MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications
    <https://arxiv.org/abs/1704.04861>`_, Table 1, without pooling and classifier: a full convolution, then 13 blocks of
    a depthwise and a pointwise convolution, each with batch norm and activation.

    ====  =================  ======  ==================
    tap   what               stride  channels (width 1)
    ====  =================  ======  ==================
    0     image              1       3
    1     stem and block 1   2       64
    2     blocks 2 and 3     4       128
    3     blocks 4 and 5     8       256
    4     blocks 6 to 11     16      512
    5     blocks 12 and 13   32      1024
    ====  =================  ======  ==================

    Table 1 prints stride 2 for block 13, too, beside an output as large as its input; it is 1 here and in every
    published implementation.

    There are no weights of this network at torchvision. Those of Keras or TensorFlow-Slim are brought into its form by
    ``tools/model_converters/mobilenet_v1.py`` and loaded by
    ``init_cfg=dict(type='Pretrained', checkpoint='mobilenet_v1.pth')``. They expect images of -1 ... 1, in RGB order:
    ``data_preprocessor=dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)``, the activation ReLU6
    and the padding and eps that are the defaults here. Without ``init_cfg`` weights are drawn as Kaiming et al.
    propose.

    Args:
        width_multiplier (float): Factor of all numbers of channels, rounded down. Defaults to 1.
        out_indices (Sequence[int]): Taps to return. Defaults to (5, ).
        last_stride (int): Stride of block 12, 2 or 1; 1 keeps the last map at stride 16. Defaults to 2.
        act_cfg (dict): Activation. The paper says ReLU, released weights were trained with ReLU6. Defaults to
            ``dict(type='ReLU6')``.
        norm_cfg (dict): Norm. Defaults to ``dict(type='BN', eps=1e-3, momentum=0.1)``: the eps of the released weights,
            the momentum of PyTorch (theirs is 0.01 in PyTorch's sense, too slow for trainings of a few hundred steps).
        tf_padding (bool): Pad by the ``SAME`` rule of TensorFlow, which at stride 2 and an even size is one row and
            column at the end only, and which released weights were trained with. Otherwise one on every side. The sizes
            of the maps are the same. At odd sizes this is the network of TensorFlow-Slim alone: the depthwise
            convolutions of Keras pad the end only at every size and give a map that is one smaller. At even sizes
            (images of multiples of 32) it is also that of Keras. Defaults to True.
        frozen_stages (int): -1 trains everything, 0 freezes tap 1, k all up to tap k + 1, with the statistics of their
            norms. Defaults to -1.
        norm_eval (bool): See :class:`TapBackbone`. Defaults to False.
        init_cfg (dict, optional): See :class:`TapBackbone`. Defaults to None.

    Shape:
        ``(N, 3, H, W)`` -> tuple of maps.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self,
                 width_multiplier: float = 1.0,
                 out_indices: Sequence[int] = (5, ),
                 last_stride: int = 2,
                 act_cfg: dict = dict(type='ReLU6'),  # noqa: B006 (never changed)
                 norm_cfg: dict = dict(type='BN', eps=1e-3, momentum=0.1),  # noqa: B006 (never changed)
                 tf_padding: bool = True,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg)
        if not int(STEM * width_multiplier) > 0:
            raise ValueError(f'width_multiplier of MobileNetV1 must be at least 1 / {STEM}, or the first layer has no '
                             f'channel; got {width_multiplier}')
        if last_stride not in (1, 2):
            raise ValueError(f'last_stride must be 1 or 2, got {last_stride}')
        channels = int(STEM * width_multiplier)
        self.stem = _convolution(3, channels, 3, 2, 1, act_cfg, norm_cfg, tf_padding)
        self.tap_channels = (3, )
        for number, (width, stride) in enumerate(BLOCKS, start=1):
            c_in, channels = channels, int(width * width_multiplier)
            stride = last_stride if number == 12 else stride
            depthwise = _convolution(c_in, c_in, 3, stride, c_in, act_cfg, norm_cfg, tf_padding)
            pointwise = _convolution(c_in, channels, 1, 1, 1, act_cfg, norm_cfg, tf_padding)
            block = nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise))
            self.add_module(f'block{number}', block)
            if number in ENDS:
                self.tap_channels += (channels, )
        self._finish()

    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The blocks of every tap, the stem with the first of them."""
        starts = (1, *(end + 1 for end in ENDS))
        stages = [tuple(getattr(self, f'block{n}') for n in range(start, end + 1))
                  for start, end in zip(starts[:-1], ENDS, strict=True)]
        return [(self.stem, *stages[0]), *stages[1:]]


class StridePadding(nn.Module):
    """Zeros around an image as TensorFlow's ``SAME`` puts them for a 3x3 convolution of stride 2.

    Rows: one at the end, and one in front where their number is odd; columns likewise. (TensorFlow-Slim; at even sizes
    also Keras, whose depthwise convolutions have the one at the end at every size.)
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad ``(N, C, H, W)``."""
        height, width = x.shape[-2:]
        return F.pad(x, (width % 2, 1, height % 2, 1))


def _convolution(c_in: int, c_out: int, kernel: int, stride: int, groups: int, act_cfg: dict, norm_cfg: dict,
                 tf_padding: bool) -> nn.Sequential:
    """Convolution, norm and activation."""
    own_padding = tf_padding and stride > 1
    conv = nn.Conv2d(c_in, c_out, kernel, stride, 0 if own_padding else kernel // 2, groups=groups, bias=False)
    # Fan-out of a depthwise layer would count all its channels: outputs so small that eps of the norm outweighs them.
    nn.init.kaiming_normal_(conv.weight, mode='fan_in', nonlinearity='relu')
    layers = OrderedDict(pad=StridePadding()) if own_padding else OrderedDict()
    layers.update(conv=conv, bn=build_norm_layer(norm_cfg, c_out)[1], act=build_activation_layer(act_cfg))
    return nn.Sequential(layers)
