"""The progressive transfer learning network beside a backbone."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmreid.models.layers import BConvCell, build_pool, require_batch
from mmreid.registry import MODELS

from .reduction_neck import reduction


def _fusion(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode='fan_in')
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


@MODELS.register_module()
class PTLNeck(BaseModule):
    r"""BConv-cells paired with the blocks of a backbone, Eq. (3) and Figure 1 of `Progressive Transfer Learning
    <https://arxiv.org/abs/1908.02492>`_.

    .. math::
        y^0 &= F^0_{bconv}(x^0, C^0), \qquad
        y^i = F^i_{bconv}\big(F^i_{1\times1}(x^i, y^{i-1}), C^i\big), \quad i = 1, \dots, B - 1 \\
        v &= F^B_{1\times1}(x^B, y^{B-1})

    where :math:`x^0` is the image and :math:`x^1, \dots, x^B` are the outputs of the :math:`B` blocks. The last block
    has no cell. Cells read the backbone and never feed back into it.

    Args:
        in_channels (Sequence[int]): Channels of the B + 1 taps, the image first, for example
            ``(3, 64, 256, 512, 1024, 2048)``.
        cell_channels (Sequence[int]): Widths of the B cells.
        fusion_channels (Sequence[int]): Widths of the B - 1 fusions in front of cells 1 to B - 1.
        strides (Sequence[int]): Strides of the B cells; cell i must bring its input to the size of tap i + 1. The
            kernel of a cell is ``max(3, 2 * stride - 1)``, so that no pixel is skipped.
        feat_channels (int): Length of the feature. Defaults to 1024.
        state_mode (str): See :class:`BConvCell`. Defaults to ``'sample'``.
        cell_cfg (dict, optional): Further arguments of the cells (``bias``, ``on_smaller_batch``). Defaults to None.
        pool (str or dict): ``'avg'``, ``'max'``, ``'gem'`` or a layer config. Defaults to ``'avg'``.
        reduction_cfg (dict, optional): See :class:`ReductionNeck`. Defaults to None: a bias, no norm, no activation.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of B + 1 maps -> ``dict(feat=(N, feat_channels))``.

    Raises:
        ValueError: If the numbers of widths do not fit each other, the maps are not those that were announced, or a
            cell's output does not have the size of the tap it meets.

    Note:
        The paper gives no widths. A fusion is a 1x1 convolution, batch normalisation and ReLU as in the authors' MGN
        network (there with a bias in front of the normalisation, which is redundant and left out). The final 1x1
        convolution has neither by default, because the paper takes its output as the feature; it is applied after
        pooling, which is the same for average pooling.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 cell_channels: Sequence[int],
                 fusion_channels: Sequence[int],
                 strides: Sequence[int],
                 feat_channels: int = 1024,
                 state_mode: str = 'sample',
                 cell_cfg: dict | None = None,
                 pool: str | dict = 'avg',
                 reduction_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        blocks = len(in_channels) - 1
        if blocks < 1 or (len(cell_channels), len(fusion_channels), len(strides)) != (blocks, blocks - 1, blocks):
            raise ValueError(f'{len(in_channels)} taps need {blocks} cell_channels, {blocks - 1} fusion_channels and '
                             f'{blocks} strides, got {len(cell_channels)}, {len(fusion_channels)}, {len(strides)}')
        self.in_channels, self.strides = tuple(in_channels), tuple(strides)
        self.fusions = nn.ModuleList(
            _fusion(x + y, u) for x, y, u in zip(in_channels[1:-1], cell_channels[:-1], fusion_channels, strict=True))
        self.cells = nn.ModuleList(
            _cell(c, w, stride, state_mode=state_mode, **(cell_cfg or {}))
            for c, w, stride in zip([in_channels[0], *fusion_channels], cell_channels, strides, strict=True))
        self.pool = build_pool(pool)
        self.reduction = reduction(in_channels[-1] + cell_channels[-1], feat_channels, **(reduction_cfg or {}))

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the cells along the taps and reduce the last block with the last cell."""
        channels = tuple(x.shape[1] for x in maps)
        if channels != self.in_channels:
            raise ValueError(f'PTLNeck was built for taps of {self.in_channels} channels, the image first, and got '
                             f'{channels}; out_indices of the backbone must name all taps, (0, 1, 2, ...)')
        y = self.cells[0](maps[0])
        for i, (fusion, cell) in enumerate(zip(self.fusions, self.cells[1:], strict=True), start=1):
            self._check_size(i, y, maps)
            y = cell(fusion(torch.cat([maps[i], y], dim=1)))
        self._check_size(len(maps) - 1, y, maps)
        pooled = self.pool(torch.cat([maps[-1], y], dim=1))
        require_batch(self.reduction, pooled)
        return dict(feat=self.reduction(pooled))

    def _check_size(self, tap: int, y: torch.Tensor, maps: Sequence[torch.Tensor]) -> None:
        if y.shape[2:] == maps[tap].shape[2:]:
            return
        sizes = [tuple(x.shape[2:]) for x in maps]
        fitting = tuple(max(1, round(a[0] / b[0])) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        hint = f'strides={fitting} fit these taps' if fitting != self.strides else \
            'the strides fit, but the input size does not divide; use a height and a width divisible by 32'
        raise ValueError(f'cell {tap - 1} of PTLNeck gives maps of {tuple(y.shape[2:])} and meets tap {tap} of '
                         f'{sizes[tap]} (height, width); taps are {sizes}, strides {self.strides}: {hint}.')


def _cell(in_channels: int, out_channels: int, stride: int, **cfg) -> BConvCell:
    kernel = max(3, 2 * stride - 1)
    return BConvCell(in_channels, out_channels, kernel, stride, padding=kernel // 2, **cfg)
