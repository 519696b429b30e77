"""BConv-cells that run along the taps of a backbone."""

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmreid.models.layers import BConvCell

#: A cell, or several in series.
Widths = int | Sequence[int]


class CellChain(BaseModule):
    r"""Base of the PTL necks: cells and fusions from the image up to a tap, Eq. (3) of `Progressive Transfer Learning
    <https://arxiv.org/abs/1908.02492>`_.

    .. math::
        z^0 = x^0, \qquad y^i = F^i_{bconv}\big(z^i, C^i\big), \qquad z^{i+1} = F^{i+1}_{1\times1}(x^{i+1}, y^i)

    where :math:`x^0` is the image and :math:`x^1, x^2, \dots` are the outputs of the blocks. A subclass may give as
    many cells as fusions, and go on from the last :math:`z`, or one cell more, which is then applied to it. Cells read
    the backbone and never feed back into it. A fusion is a 1x1 convolution, batch normalisation and ReLU.

    Args:
        in_channels (Sequence[int]): Channels of the taps, the image first; those beyond the last fusion are not used.
        cell_channels (Sequence[int | Sequence[int]]): Width of each cell; several widths are cells in series between
            two fusions.
        fusion_channels (Sequence[int]): Widths of the fusions.
        strides (Sequence[int | Sequence[int]]): Stride of each cell, in the form of ``cell_channels``; cell i must
            bring its input to the size of tap i + 1. The kernel of a cell is ``max(3, 2 * stride - 1)``, so that no
            pixel is skipped.
        state_mode (str): See :class:`BConvCell`. Defaults to ``'sample'``.
        cell_cfg (dict, optional): Further arguments of the cells (``bias``, ``on_smaller_batch``). Defaults to None.
        fusion_cfg (dict, optional): ``dict(bias=True)`` gives the fusions' convolutions a bias, which the
            normalisation cancels. Defaults to None.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If a stride does not have the form of its cell, or (when applied) a cell's output does not have the
            size of the tap it meets.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 cell_channels: Sequence[Widths],
                 fusion_channels: Sequence[int],
                 strides: Sequence[Widths],
                 state_mode: str = 'sample',
                 cell_cfg: dict | None = None,
                 fusion_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.strides = tuple(stride if isinstance(stride, int) else tuple(stride) for stride in strides)
        for widths, stride in zip(cell_channels, self.strides, strict=False):
            _check_series(widths, stride)
        # The last fusion may be left for a subclass to feed to cells of its own.
        meetings = zip(in_channels[1:], cell_channels, fusion_channels, strict=False)
        self.fusions = nn.ModuleList(_fusion(x + _last(y), u, **(fusion_cfg or {})) for x, y, u in meetings)
        inputs = [in_channels[0], *fusion_channels]
        self.cells = nn.ModuleList(
            build_cell(c, w, s, state_mode=state_mode, **(cell_cfg or {}))
            for c, w, s in zip(inputs, cell_channels, self.strides, strict=False))

    def run_chain(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Run the cells up to the last fusion and return its output (the image, if there is none)."""
        z = maps[0]
        for step in range(len(self.fusions)):  # torch 2.4 traces neither zip of unequal lengths nor enumerate from 1
            y = self.cells[step](z)
            self.check_size(step + 1, y, maps)
            z = self.fusions[step](torch.cat([maps[step + 1], y], dim=1))
        return z

    def check_channels(self, maps: Sequence[torch.Tensor], expected: Sequence[int]) -> None:
        """Refuse maps that are not those that were announced."""
        channels = tuple(x.shape[1] for x in maps)
        if channels != tuple(expected):
            raise ValueError(f'{type(self).__name__} was built for taps of {tuple(expected)} channels, the image first,'
                             f' and got {channels}; out_indices of the backbone must name all taps, (0, 1, 2, ...)')

    def check_size(self, tap: int, y: torch.Tensor, maps: Sequence[torch.Tensor]) -> None:
        """Refuse a cell's output that does not have the size of the tap it meets."""
        if y.shape[2:] == maps[tap].shape[2:]:
            return
        sizes = [tuple(x.shape[2:]) for x in maps[:len(self.strides) + 1]]
        fitting = tuple(max(1, round(a[0] / b[0])) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        hint = f'strides={fitting} fit these taps' if fitting != tuple(map(_product, self.strides)) else \
            'the strides fit, but the input size does not divide; use a height and a width divisible by 32'
        raise ValueError(f'cell {tap - 1} of {type(self).__name__} gives maps of {tuple(y.shape[2:])} and meets tap '
                         f'{tap} of {sizes[tap]} (height, width); taps are {sizes}, strides {self.strides}: {hint}.')


def build_cell(in_channels: int, widths: Widths, strides: Widths, **cfg) -> nn.Module:
    """A :class:`BConvCell`, or several in series where there are several widths.

    Raises:
        ValueError: If there are not as many strides as widths.
    """
    _check_series(widths, strides)
    if isinstance(widths, int):
        kernel = max(3, 2 * strides - 1)
        return BConvCell(in_channels, widths, kernel, strides, padding=kernel // 2, **cfg)
    inputs = [in_channels, *widths[:-1]]
    return nn.Sequential(*(build_cell(c, w, s, **cfg) for c, w, s in zip(inputs, widths, strides, strict=True)))


def _check_series(widths: Widths, strides: Widths) -> None:
    one = isinstance(widths, int), isinstance(strides, int)
    if not all(one) and (any(one) or not widths or len(widths) != len(strides)):
        raise ValueError('cells in series need one stride each, such as cell_channels=((16, 32), ...) and '
                         f'strides=((2, 2), ...); got widths {widths} and strides {strides}')


def _fusion(in_channels: int, out_channels: int, bias: bool = False) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=bias)
    nn.init.kaiming_normal_(conv.weight, mode='fan_in')
    if bias:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _last(widths: Widths) -> int:
    return widths if isinstance(widths, int) else widths[-1]


def _product(strides: Widths) -> int:
    return strides if isinstance(strides, int) else math.prod(strides)
