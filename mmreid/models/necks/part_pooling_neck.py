"""Embeddings of whole people and of their horizontal stripes, from the branches of a network."""

import math
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule, ModuleDict
from torch import nn

from mmreid.models.layers import build_pool, require_batch
from mmreid.registry import MODELS

from .reduction_neck import reduction as build_reduction

REDUCTIONS = ('shared', 'separate')
#: Stripes of the three branches of MGN.
MGN_BRANCHES = (dict(stripes=1), dict(stripes=2), dict(stripes=3))
#: A 1x1 convolution, batch normalisation and ReLU.
MGN_REDUCTION = dict(norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU'))


@MODELS.register_module()
class PartPoolingNeck(BaseModule):
    """The part pooling of `Learning Discriminative Features with Multiple Granularities for Person Re-Identification
    <https://arxiv.org/abs/1804.01438>`_ (MGN).

    The map of every branch is pooled as a whole (``global_1``, ``global_2``, ...) and, in a branch of several stripes,
    once more in each of its stripes of equal height, from top to bottom (``part_2_1``, ``part_2_2``, ...: branch,
    stripe). Every pooled vector is reduced to ``feat_channels``; ``feat`` is all of them in a row, the global ones
    first.

    Args:
        in_channels (int): Channels of every branch's map.
        feat_channels (int): Length of each reduced vector. Defaults to 256.
        branches (Sequence[dict]): One dict a branch: ``stripes``, the number of its stripes; 1 has the global vector
            alone. Defaults to MGN's three, with 1, 2 and 3.
        pool (str or dict): ``'max'``, ``'avg'``, ``'gem'`` or a layer config. Defaults to ``'max'``.
        reduction (str): ``'shared'`` reduces all vectors with the same layers, as in the reproduction that PTL used,
            ``'separate'`` each with its own, as in the paper of MGN. Defaults to ``'shared'``.
        reduction_cfg (dict, optional): ``bias``, ``norm_cfg`` and ``act_cfg`` of the reduction. Defaults to None: 1x1
            convolution, batch normalisation, ReLU.
        unreduced_globals (bool): Also give the global vectors as they are before the reduction (``unreduced_1``,
            ...), for a softmax on them. Defaults to False.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of maps, the last ones those of the branches, ``(N, in_channels, H_b, W_b)`` -> ``dict(feat=(N, number of
        vectors * feat_channels), global_1=(N, feat_channels), ...)``. If the image comes first, an error about the
        size of a map can name a size of the input that works.

    Raises:
        ValueError: If an argument is wrong, a map does not have ``in_channels`` channels, or its height is not a
            multiple of the stripes.

    Note:
        A shared reduction is applied to one kind of vector after the other, never to all in one batch: in training,
        its batch norm normalises each kind by that kind's own statistics, and its running statistics move once for
        every kind, in the order above, so those of the last kinds weigh most. This is what the reproduction does; in
        evaluation all kinds share one set of statistics.
    """

    def __init__(self,
                 in_channels: int,
                 feat_channels: int = 256,
                 branches: Sequence[dict] = MGN_BRANCHES,
                 pool: str | dict = 'max',
                 reduction: str = 'shared',
                 reduction_cfg: dict | None = None,
                 unreduced_globals: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction of PartPoolingNeck must be one of {REDUCTIONS}, got {reduction!r}')
        self.in_channels, self.stripes = in_channels, _stripes(branches)
        self.unreduced_globals = unreduced_globals
        self.pool = build_pool(pool)
        cfg = MGN_REDUCTION if reduction_cfg is None else reduction_cfg
        self.reduction: nn.Module = build_reduction(in_channels, feat_channels, **cfg) if reduction == 'shared' else \
            ModuleDict({name: build_reduction(in_channels, feat_channels, **cfg) for name in self.names})

    @property
    def names(self) -> list[str]:
        """Names of the reduced vectors in the order of ``feat``."""
        parts = [f'part_{b + 1}_{k}' for b, n in enumerate(self.stripes) if n > 1 for k in range(1, n + 1)]
        return [f'global_{b}' for b in range(1, len(self.stripes) + 1)] + parts

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pool the maps of the branches and reduce the vectors."""
        return self.reduce(self.pool_parts(maps))

    def pool_parts(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pooled vectors ``(N, C)`` by name, of maps with any number of channels."""
        self._check_heights(maps)
        pooled = {}
        for b, (x, stripes) in enumerate(zip(self._own(maps), self.stripes, strict=True)):
            pooled[f'global_{b + 1}'] = self.pool(x)
            if stripes > 1:
                pooled.update({f'part_{b + 1}_{k + 1}': self.pool(stripe)
                               for k, stripe in enumerate(x.chunk(stripes, dim=2))})
        return {name: pooled[name] for name in self.names}

    def reduce(self, pooled: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Reduced vectors of pooled ones, and ``feat``."""
        length = next(iter(pooled.values())).shape[1]
        if length != self.in_channels:
            raise ValueError(f'PartPoolingNeck was built for maps of {self.in_channels} channels and got {length}')
        separate = isinstance(self.reduction, ModuleDict)
        feats = {}
        for name, vector in pooled.items():
            layers = self.reduction[name] if separate else self.reduction
            require_batch(layers, vector, 'norm_cfg=None in reduction_cfg of the neck')
            feats[name] = layers(vector)
        feats['feat'] = torch.cat([feats[name] for name in self.names], dim=1)
        if self.unreduced_globals:
            feats.update({f'unreduced_{b}': pooled[f'global_{b}'] for b in range(1, len(self.stripes) + 1)})
        return feats

    def _own(self, maps: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """The maps of the branches."""
        return maps[-len(self.stripes):]

    def _check_heights(self, maps: Sequence[torch.Tensor]) -> None:
        if len(maps) < len(self.stripes):
            raise ValueError(f'PartPoolingNeck has {len(self.stripes)} branches and got {len(maps)} maps; out_indices '
                             'of the backbone must name the tap of every branch')
        heights = [x.shape[2] for x in self._own(maps)]
        for b, (height, stripes) in enumerate(zip(heights, self.stripes, strict=True)):
            if height % stripes:
                raise ValueError(f'branch {b + 1} cuts its map into {stripes} stripes of equal height, and the map has '
                                 f'height {height}. {self._working_height(maps, heights)}')

    def _working_height(self, maps: Sequence[torch.Tensor], heights: Sequence[int]) -> str:
        image = maps[0]
        if len(maps) == len(self.stripes) or image.shape[1] != 3:
            return 'Choose an input height for which the height of the map is a multiple of that.'
        # Maps round up where the input does not divide; strides of networks are powers of two.
        strides = [2**round(math.log2(image.shape[2] / height)) for height in heights]
        unit = math.lcm(*(stride * n for stride, n in zip(strides, self.stripes, strict=True)))
        fitting = unit * math.ceil(image.shape[2] / unit)
        return (f'The input height is {image.shape[2]}; one of {fitting} works, as every multiple of {unit} does: '
                f'dict(type="Resize", scale=({image.shape[3]}, {fitting})) (width, height).')


def _stripes(branches: Sequence[dict]) -> tuple[int, ...]:
    plain = all(isinstance(branch, dict) and set(branch) == {'stripes'} for branch in branches)
    numbers = [branch['stripes'] for branch in branches] if plain else []
    if not numbers or not all(type(n) is int and n > 0 for n in numbers):
        raise ValueError('branches of PartPoolingNeck must be a list of dict(stripes=N), N at least 1, one for each '
                         f'branch, got {list(branches)}')
    return tuple(numbers)
