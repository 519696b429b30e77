"""ResNet that splits into branches after the first block of its third layer."""

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torchvision.models import get_model

from mmreid.registry import MODELS

from .base import TapBackbone, check_depth
from .resnet import DEPTHS, set_stride

#: The tap after which the branches begin: layer3[0].
TRUNK = 4
#: Stride of layer4 in the global branch and in the two part branches of MGN.
MGN_BRANCHES = (dict(last_stride=2), dict(last_stride=1), dict(last_stride=1))


@MODELS.register_module()
class MGNResNet(TapBackbone):
    """The backbone of `Learning Discriminative Features with Multiple Granularities for Person Re-Identification
    <https://arxiv.org/abs/1804.01438>`_ (MGN): one trunk and several branches, each a copy of the rest of the network.

    =====  =========================  ==============  ===============  ================
    tap    what                       stride          channels 18, 34  channels 50 - 152
    =====  =========================  ==============  ===============  ================
    0      image                      1               3                3
    1      stem                       4               64               64
    2      layer1                     4               64               256
    3      layer2                     8               128              512
    4      layer3[0]                  16              256              1024
    5 ...  one for each branch: the   32 or 16        512              2048
           rest of layer3, layer4     (last_stride)
    =====  =========================  ==============  ===============  ================

    The trunk has torchvision's names (``layer3.0`` is all of its third layer), branch ``b`` has
    ``branches.b.layer3.k`` for ``k >= 1`` and ``branches.b.layer4``. All branches begin with the same weights, as in
    the reproduction that PTL used: those drawn once, or those of ``init_cfg``: ``torchvision://resnet50`` and files
    with torchvision's names fill every branch, files of an MGN the branches they have.

    Args:
        depth (int): 18, 34, 50, 101 or 152. Defaults to 50.
        branches (Sequence[dict]): One dict a branch: ``last_stride``, the stride of its layer4, 2 or 1. Defaults to
            MGN's three, with 2, 1 and 1.
        out_indices (Sequence[int], optional): Taps to return. Defaults to None: the image and every branch, which is
            what :class:`PartPoolingNeck` reads.
        frozen_stages (int): -1 trains everything, 0 freezes the stem, 1 and 2 also layer1 and layer2, 3 the whole
            trunk, with the statistics of their norms. Defaults to -1.
        norm_eval (bool): See :class:`TapBackbone`. Defaults to False.
        init_cfg (dict, optional): See :class:`TapBackbone`. Defaults to None.

    Shape:
        ``(N, 3, H, W)`` -> tuple of maps.

    Raises:
        ValueError: If there is no branch, a ``last_stride`` is neither 1 nor 2, or an argument of the base is wrong.
    """

    def __init__(self,
                 depth: int = 50,
                 branches: Sequence[dict] = MGN_BRANCHES,
                 out_indices: Sequence[int] | None = None,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        check_depth('MGNResNet', depth, DEPTHS)
        strides = _last_strides(branches)
        if out_indices is None:
            out_indices = (0, *range(TRUNK + 1, TRUNK + 1 + len(strides)))
        super().__init__(out_indices, frozen_stages, norm_eval, init_cfg)
        if not -1 <= frozen_stages < TRUNK:
            raise ValueError(f'frozen_stages of MGNResNet must be between -1 and {TRUNK - 1} (the trunk), got '
                             f'{frozen_stages}')
        net = get_model(f'resnet{depth}', weights=None)
        for name in ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2'):
            self.add_module(name, getattr(net, name))
        self.layer3 = net.layer3[:1]
        self.branches = nn.ModuleList(_branch(net, stride) for stride in strides)
        widths = (64, 128, 256, 512) if depth < 50 else (256, 512, 1024, 2048)
        self.tap_channels = (3, 64, *widths[:3], *(widths[3] for _ in strides))
        self._finish()

    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The stem, two layers, the first block of the third, and the branches."""
        stem = (self.conv1, self.bn1, self.relu, self.maxpool)
        return [stem, (self.layer1, ), (self.layer2, ), (self.layer3, ), *((branch, ) for branch in self.branches)]

    def source(self, tap: int) -> int:
        """Every branch reads the end of the trunk."""
        return min(tap - 1, TRUNK)

    def adapt_pretrained(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Copy the weights of a plain ResNet into every branch; those of an MGN stay as they are."""
        if any(key.startswith('branches.') for key in state):
            return state
        own: dict[str, torch.Tensor] = {}
        for key, value in state.items():
            if key.startswith('layer4.') or key.startswith('layer3.') and not key.startswith('layer3.0.'):
                own.update({f'branches.{b}.{key}': value for b in range(len(self.branches))})
            else:
                own[key] = value
        return own


def _last_strides(branches: Sequence[dict]) -> list[int]:
    plain = all(isinstance(branch, dict) and set(branch) == {'last_stride'} for branch in branches)
    strides = [branch['last_stride'] for branch in branches] if plain else []
    if not strides or not all(type(stride) is int and stride in (1, 2) for stride in strides):
        raise ValueError('branches of MGNResNet must be a list of dict(last_stride=1) or dict(last_stride=2), one for '
                         f'each branch, got {list(branches)}')
    return strides


def _branch(net: nn.Module, last_stride: int) -> nn.Sequential:
    """A copy of what follows the trunk."""
    rest = nn.Sequential(OrderedDict((str(k), block) for k, block in enumerate(net.layer3) if k > 0))
    branch = copy.deepcopy(nn.Sequential(OrderedDict(layer3=rest, layer4=net.layer4)))
    set_stride(branch.layer4[0], last_stride)
    return branch
