"""The progressive transfer learning network beside a backbone."""

from collections.abc import Sequence

import torch

from mmreid.models.layers import build_pool, require_batch
from mmreid.registry import MODELS

from .cell_chain import CellChain, Widths
from .reduction_neck import reduction


@MODELS.register_module()
class PTLNeck(CellChain):
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
        cell_channels (Sequence[int | Sequence[int]]): Widths of the B cells; an entry such as ``(16, 32)`` is two
            cells in series.
        fusion_channels (Sequence[int]): Widths of the B - 1 fusions in front of cells 1 to B - 1.
        strides (Sequence[int | Sequence[int]]): Strides of the B cells, see :class:`CellChain`.
        feat_channels (int): Length of the feature. Defaults to 1024.
        state_mode (str): See :class:`BConvCell`. Defaults to ``'sample'``.
        cell_cfg (dict, optional): Further arguments of the cells (``bias``, ``on_smaller_batch``). Defaults to None.
        fusion_cfg (dict, optional): See :class:`CellChain`. Defaults to None.
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
                 cell_channels: Sequence[Widths],
                 fusion_channels: Sequence[int],
                 strides: Sequence[Widths],
                 feat_channels: int = 1024,
                 state_mode: str = 'sample',
                 cell_cfg: dict | None = None,
                 pool: str | dict = 'avg',
                 reduction_cfg: dict | None = None,
                 fusion_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        blocks = len(in_channels) - 1
        if blocks < 1 or (len(cell_channels), len(fusion_channels), len(strides)) != (blocks, blocks - 1, blocks):
            raise ValueError(f'{len(in_channels)} taps need {blocks} cell_channels, {blocks - 1} fusion_channels and '
                             f'{blocks} strides, got {len(cell_channels)}, {len(fusion_channels)}, {len(strides)}')
        super().__init__(in_channels, cell_channels, fusion_channels, strides, state_mode, cell_cfg, fusion_cfg,
                         init_cfg)
        self.in_channels = tuple(in_channels)
        last = cell_channels[-1]
        self.pool = build_pool(pool)
        self.reduction = reduction(in_channels[-1] + (last if isinstance(last, int) else last[-1]), feat_channels,
                                   **(reduction_cfg or {}))

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the cells along the taps and reduce the last block with the last cell."""
        self.check_channels(maps, self.in_channels)
        y = self.cells[-1](self.run_chain(maps))
        self.check_size(len(maps) - 1, y, maps)
        pooled = self.pool(torch.cat([maps[-1], y], dim=1))
        require_batch(self.reduction, pooled, 'norm_cfg=None in reduction_cfg of the PTLNeck')
        return dict(feat=self.reduction(pooled))
