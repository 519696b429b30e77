"""What the backbones built on torchvision's networks have in common."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .pretrained import load_pretrained


class TapBackbone(BaseModule):
    """A network that can be tapped at the image, after the stem and after every stage.

    Tap 0 is the image itself, tap 1 the stem (after its pooling), taps 2, 3, ... the stages. Parameters carry
    torchvision's names, so its ImageNet weights load without renaming:
    ``init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')`` or the path of a file, see
    :func:`load_pretrained`. Without ``init_cfg`` the weights are drawn as torchvision draws them.

    Args:
        out_indices (Sequence[int]): Taps to return, in increasing order. What none of them needs, such as all that
            comes after the last one, is neither run nor trained.
        frozen_stages (int): -1 trains everything, 0 freezes the stem, k the stem and the first k stages, with the
            statistics of their norms. Defaults to -1.
        norm_eval (bool): Keep the statistics of all batch norms as they are. Defaults to False.
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    #: Channels of every tap, the image first.
    tap_channels: tuple[int, ...]

    def __init__(self,
                 out_indices: Sequence[int],
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.out_indices = tuple(out_indices)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the returned maps."""
        return tuple(self.tap_channels[i] for i in self.out_indices)

    @abstractmethod
    def blocks(self) -> list[tuple[nn.Module, ...]]:
        """The modules of every tap but the image, in the order in which they are applied."""

    def source(self, tap: int) -> int:
        """The tap that the block of a tap reads: the one before, unless a network branches."""
        return tap - 1

    def adapt_pretrained(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Weights by the names of this backbone, from a file of pretrained ones; a subclass may rename and copy."""
        return state

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the maps named by ``out_indices``."""
        taps, blocks = {0: x}, self.blocks()
        for tap in sorted(self._needed()):
            x = taps[self.source(tap)]
            for module in blocks[tap - 1]:
                x = module(x)
            taps[tap] = x
        return tuple(taps[i] for i in self.out_indices)

    def train(self, mode: bool = True) -> 'TapBackbone':
        """Set the mode, except where norms or stages are frozen."""
        super().train(mode)
        for block in self._frozen_blocks():
            for module in block:
                module.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def init_weights(self) -> None:
        """Load pretrained weights if ``init_cfg`` asks for them, else do as every mmengine module does."""
        if self.is_init or not isinstance(self.init_cfg, dict) or self.init_cfg.get('type') != 'Pretrained':
            super().init_weights()
            return
        load_pretrained(self, self.init_cfg['checkpoint'])
        self.is_init = True

    def _finish(self) -> None:
        """Check the arguments and freeze; a subclass calls it when its modules are there."""
        last = len(self.tap_channels) - 1
        if not self.out_indices or list(self.out_indices) != sorted(set(self.out_indices) & set(range(last + 1))):
            raise ValueError(f'out_indices must be increasing taps between 0 (the image) and {last}, got '
                             f'{self.out_indices}')
        if not -1 <= self.frozen_stages < last:
            raise ValueError(f'frozen_stages must be between -1 and {last - 1}, got {self.frozen_stages}')
        needed = self._needed()
        unused = [block for tap, block in enumerate(self.blocks(), start=1) if tap not in needed]
        for block in self._frozen_blocks() + unused:
            for module in block:
                module.requires_grad_(False)

    def _needed(self) -> set[int]:
        """Taps that must be computed, without the image."""
        needed: set[int] = set()
        for tap in self.out_indices:
            while tap > 0 and tap not in needed:
                needed.add(tap)
                tap = self.source(tap)
        return needed

    def _frozen_blocks(self) -> list[tuple[nn.Module, ...]]:
        return self.blocks()[:self.frozen_stages + 1]


def check_depth(name: str, depth: int, known: Sequence[int]) -> None:
    """Refuse a depth that torchvision does not have."""
    if depth not in known:
        raise ValueError(f'depth of {name} must be one of {tuple(known)}, got {depth}')
