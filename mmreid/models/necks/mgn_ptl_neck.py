"""MGN with progressive transfer learning."""

from collections.abc import Sequence

import torch
from torch import nn

from mmreid.registry import MODELS

from .cell_chain import CellChain, Widths, build_cell
from .part_pooling_neck import PartPoolingNeck


@MODELS.register_module()
class MGNPTLNeck(CellChain):
    r"""BConv-cells beside the trunk and the branches of MGN, as in the network released with `Progressive Transfer
    Learning <https://arxiv.org/abs/1908.02492>`_.

    A :class:`CellChain` runs along the trunk and ends in the fusion :math:`z` with its last tap. One cell for each
    branch reads :math:`z` and gives a map of the size of the branch's. Both maps are pooled as a whole and in stripes
    by a :class:`PartPoolingNeck`; vectors of the same name are put in a row, the branch's first, and reduced.

    Args:
        in_channels (Sequence[int]): Channels of the K + 1 taps of the trunk, the image first.
        cell_channels (Sequence[int | Sequence[int]]): Widths of the K cells along the trunk. The released network has
            ``((16, 32), 64, 256, 512)``: two cells in series on the image.
        fusion_channels (Sequence[int]): Widths of the K fusions, released ``(64, 128, 256, 512)``.
        strides (Sequence[int | Sequence[int]]): Strides of the K cells, released ``((2, 2), 1, 2, 2)``.
        branch_channels (int): Channels of the branches' maps.
        branch_cells (Sequence[dict]): One dict a branch: ``channels`` and ``stride`` of its cell. Released: 128
            channels each, with strides 2, 1 and 1.
        parts (dict, optional): Arguments of :class:`PartPoolingNeck`, without ``in_channels``. Defaults to None.
        state_mode (str): See :class:`BConvCell`. Defaults to ``'sample'``.
        cell_cfg (dict, optional): See :class:`CellChain`. Defaults to None.
        fusion_cfg (dict, optional): See :class:`CellChain`. Defaults to None.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of the image, the K taps of the trunk and the maps of the branches -> the embeddings of
        :class:`PartPoolingNeck`.

    Raises:
        ValueError: If the numbers of widths or branches do not fit each other, the maps are not those that were
            announced, or a cell's output does not have the size of the map it meets.

    Note:
        The released network pools both maps before it puts them in a row, as here; as pooling works on every channel
        alone, the other order gives the same at a higher cost.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 cell_channels: Sequence[Widths],
                 fusion_channels: Sequence[int],
                 strides: Sequence[Widths],
                 branch_channels: int,
                 branch_cells: Sequence[dict],
                 parts: dict | None = None,
                 state_mode: str = 'sample',
                 cell_cfg: dict | None = None,
                 fusion_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        taps = len(in_channels) - 1
        if taps < 1 or (len(cell_channels), len(fusion_channels), len(strides)) != (taps, ) * 3:
            raise ValueError(f'{len(in_channels)} taps of the trunk need {taps} cell_channels, fusion_channels and '
                             f'strides, got {len(cell_channels)}, {len(fusion_channels)}, {len(strides)}')
        plain = all(isinstance(cell, dict) and set(cell) == {'channels', 'stride'}
                    and type(cell['channels']) is type(cell['stride']) is int for cell in branch_cells)
        widths = {cell['channels'] for cell in branch_cells} if plain else set()
        if len(widths) != 1:
            raise ValueError('branch_cells must be a list of dict(channels=C, stride=S) with equal channels, one for '
                             f'each branch, got {list(branch_cells)}')
        super().__init__(in_channels, cell_channels, fusion_channels, strides, state_mode, cell_cfg, fusion_cfg,
                         init_cfg)
        self.branch_cells = nn.ModuleList(
            build_cell(fusion_channels[-1], c['channels'], c['stride'], state_mode=state_mode, **(cell_cfg or {}))
            for c in branch_cells)
        self.parts = PartPoolingNeck(branch_channels + widths.pop(), **(parts or {}))
        if len(self.parts.stripes) != len(branch_cells):
            raise ValueError(f'the parts have {len(self.parts.stripes)} branches, and there are {len(branch_cells)} '
                             'branch_cells; there must be one for each branch')
        self.tap_channels = (*in_channels, *(branch_channels for _ in branch_cells))

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the cells, pool the branches and their cells, and reduce."""
        self.check_channels(maps, self.tap_channels)
        z, branches = self.run_chain(maps), maps[-len(self.branch_cells):]
        outputs = [cell(z) for cell in self.branch_cells]
        for b, (x, y) in enumerate(zip(branches, outputs, strict=True)):
            if x.shape[2:] != y.shape[2:]:
                raise ValueError(f'the cell of branch {b + 1} gives maps of {tuple(y.shape[2:])} and the branch maps '
                                 f'of {tuple(x.shape[2:])} (height, width) from taps of {tuple(z.shape[2:])}; the '
                                 'stride of branch_cells must be the last_stride of the branch in the backbone')
        pooled, beside = self.parts.pool_parts((maps[0], *branches)), self.parts.pool_parts((maps[0], *outputs))
        return self.parts.reduce({name: torch.cat([x, beside[name]], dim=1) for name, x in pooled.items()})
