"""DenseNet with taps."""

from collections.abc import Sequence

from torch import nn
from torchvision.models import get_model

from mmreid.registry import MODELS

from .base import TapBackbone, check_depth

#: Channels of the taps by depth.
CHANNELS = {
    121: (3, 64, 128, 256, 512, 1024),
    161: (3, 96, 192, 384, 1056, 2208),
    169: (3, 64, 128, 256, 640, 1664),
    201: (3, 64, 128, 256, 896, 1920),
}


@MODELS.register_module()
class DenseNetTaps(TapBackbone):
    """torchvision's DenseNet without pooling and classifier.

    ====  =============================  ======  =================
    tap   what                           stride  channels of 161
    ====  =============================  ======  =================
    0     image                          1       3
    1     stem                           4       96
    2     dense block 1 + transition     8       192
    3     dense block 2 + transition     16      384
    4     dense block 3 + transition     32      1056
    5     dense block 4 + norm + ReLU    32      2208
    ====  =============================  ======  =================

    Args:
        depth (int): 121, 161, 169 or 201. Defaults to 161.
        out_indices (Sequence[int]): Taps to return. Defaults to (5, ).
        frozen_stages (int): See :class:`TapBackbone`. Defaults to -1.
        norm_eval (bool): See :class:`TapBackbone`. Defaults to False.
        init_cfg (dict, optional): See :class:`TapBackbone`. Defaults to None.

    Shape:
        ``(N, 3, H, W)`` -> tuple of maps.
    """

    def __init__(self,
                 depth: int = 161,
                 out_indices: Sequence[int] = (5, ),
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg)
        check_depth('DenseNetTaps', depth, tuple(CHANNELS))
        self.features = get_model(f'densenet{depth}', weights=None).features
        self.relu = nn.ReLU(inplace=True)
        self.tap_channels = CHANNELS[depth]
        self._finish()

    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The stem, three dense blocks with their transitions, and the last dense block."""
        f = self.features
        stages = [(getattr(f, f'denseblock{i}'), getattr(f, f'transition{i}')) for i in (1, 2, 3)]
        return [(f.conv0, f.norm0, f.relu0, f.pool0), *stages, (f.denseblock4, f.norm5, self.relu)]
