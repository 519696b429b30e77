"""ResNet with taps."""

from collections.abc import Sequence

from torch import nn
from torchvision.models import get_model

from mmreid.registry import MODELS

from .base import TapBackbone, check_depth

DEPTHS = (18, 34, 50, 101, 152)


@MODELS.register_module()
class ResNetTaps(TapBackbone):
    """torchvision's ResNet without pooling and classifier.

    ====  =======  ======  ===============  ================
    tap   what     stride  channels 18, 34  channels 50 - 152
    ====  =======  ======  ===============  ================
    0     image    1       3                3
    1     stem     4       64               64
    2     layer1   4       64               256
    3     layer2   8       128              512
    4     layer3   16      256              1024
    5     layer4   32      512              2048
    ====  =======  ======  ===============  ================

    Args:
        depth (int): 18, 34, 50, 101 or 152. Defaults to 50.
        out_indices (Sequence[int]): Taps to return. Defaults to (5, ).
        last_stride (int): Stride of layer4, 2 or 1; 1 keeps its map at stride 16. Defaults to 2.
        frozen_stages (int): See :class:`TapBackbone`. Defaults to -1.
        norm_eval (bool): See :class:`TapBackbone`. Defaults to False.
        init_cfg (dict, optional): See :class:`TapBackbone`. Defaults to None.

    Shape:
        ``(N, 3, H, W)`` -> tuple of maps.
    """

    def __init__(self,
                 depth: int = 50,
                 out_indices: Sequence[int] = (5, ),
                 last_stride: int = 2,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg)
        check_depth('ResNetTaps', depth, DEPTHS)
        if last_stride not in (1, 2):
            raise ValueError(f'last_stride must be 1 or 2, got {last_stride}')
        net = get_model(f'resnet{depth}', weights=None)
        for name, module in net.named_children():
            if name not in ('avgpool', 'fc'):
                self.add_module(name, module)
        set_stride(self.layer4[0], last_stride)
        self.tap_channels = (3, 64, *((64, 128, 256, 512) if depth < 50 else (256, 512, 1024, 2048)))
        self._finish()

    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The stem and the four layers."""
        stem = (self.conv1, self.bn1, self.relu, self.maxpool)
        return [stem, (self.layer1, ), (self.layer2, ), (self.layer3, ), (self.layer4, )]


def set_stride(block: nn.Module, stride: int) -> None:
    """Change the stride of the first block of a layer (its 3x3 convolution and its shortcut)."""
    conv = block.conv2 if hasattr(block, 'conv3') else block.conv1
    conv.stride = block.downsample[0].stride = (stride, stride)
