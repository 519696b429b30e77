"""The embeddings of deep transfer learning: the feature and two auxiliary ones."""

from collections.abc import Collection, Sequence

import torch
from mmengine.model import BaseModule, ModuleDict
from torch import nn

from mmreid.models.layers import build_pool, require_batch
from mmreid.registry import MODELS

from .auxiliary_branch import AuxiliaryBranch
from .reduction_neck import reduction

#: Names of the auxiliary embeddings, in the order of their maps.
AUXILIARY = ('aux1', 'aux2')


@MODELS.register_module()
class DTLNeck(BaseModule):
    """From the maps of a base network to the vectors that the subnets of `Deep Transfer Learning for Person
    Re-identification <https://arxiv.org/abs/1611.05244>`_ read (section 3.1, and "Auxiliary losses" in 5.2).

    ``feat``, the feature of an image, is the global average of the last map: 1,024 values of GoogLeNet. ``aux1`` and
    ``aux2`` come from its middle, each through an :class:`AuxiliaryBranch`, and have the same losses in training. Who
    wants the feature alone asks for it (``keys``), as :class:`EmbeddingNet` does where it predicts; the mode says
    nothing, because what is frozen is in evaluation mode and its heads may still be trained.

    Args:
        in_channels (Sequence[int]): Channels of the maps, the auxiliary ones first. Defaults to GoogLeNet's.
        aux (bool): Whether there are auxiliary embeddings, of the first two of three maps. False takes the last map
            alone. Defaults to True.
        feat_channels (int, optional): Length of the feature behind a fully connected layer; None leaves the pooled map
            as it is. Defaults to None.
        reduction_cfg (dict, optional): ``bias``, ``norm_cfg`` and ``act_cfg`` of that layer, see
            :class:`ReductionNeck`. Defaults to None: a bias, no norm, no activation.
        pool (str or dict): ``'avg'``, ``'max'``, ``'gem'`` or a layer config. Defaults to ``'avg'``.
        aux_cfg (dict, optional): Further arguments of the auxiliary branches. Defaults to None.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of maps -> ``dict(feat=(N, C), aux1=(N, 1024), aux2=(N, 1024))``, with ``aux=False`` only ``feat``; with
        ``keys`` those of them that are named there.

    Raises:
        ValueError: If the numbers of maps or of their channels are others than announced, a map is too small for its
            branch, or ``aux_cfg`` or ``reduction_cfg`` is given for what is not there.
        KeyError: If ``keys`` names an embedding that it does not have.

    Example:
        >>> neck = DTLNeck(in_channels=(1536, ), aux=False, feat_channels=256)  # of DGDNet
    """

    def __init__(self,
                 in_channels: Sequence[int] = (512, 528, 1024),
                 aux: bool = True,
                 feat_channels: int | None = None,
                 reduction_cfg: dict | None = None,
                 pool: str | dict = 'avg',
                 aux_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        if aux and len(self.in_channels) != len(AUXILIARY) + 1:
            raise ValueError('in_channels of DTLNeck with aux=True must be those of two auxiliary maps and of the last '
                             f'one, such as (512, 528, 1024) of GoogLeNet; got {self.in_channels}. With aux=False the '
                             'last is enough.')
        if not self.in_channels:
            raise ValueError('in_channels of DTLNeck must have the channels of the last map, got none')
        for name, given, there in (('aux_cfg', aux_cfg, aux), ('reduction_cfg', reduction_cfg, feat_channels)):
            if given is not None and not there:
                raise ValueError(f'{name} of DTLNeck is for {"aux=True" if name == "aux_cfg" else "feat_channels"}, '
                                 'which is not given')
        self.auxiliary = ModuleDict({name: AuxiliaryBranch(channels, **(aux_cfg or {}))
                                     for name, channels in zip(AUXILIARY, self.in_channels)} if aux else {})
        self._branches = tuple(self.auxiliary)  # torch.export does not trace the iteration over a container of modules
        self.pool = build_pool(pool)
        self.reduction: nn.Module = nn.Identity() if feat_channels is None else reduction(
            self.in_channels[-1], feat_channels, **(reduction_cfg or {}))

    def forward(self, maps: Sequence[torch.Tensor], keys: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """Pool the last map and run the auxiliary branches on the others, as far as ``keys`` (None: all) names them."""
        self._check(maps)
        unknown = sorted(key for key in keys or () if key not in (*self._branches, 'feat'))
        if unknown:
            raise KeyError(f'DTLNeck was asked for {unknown} and gives {sorted([*self._branches, "feat"])}')
        feats = {name: self.auxiliary[name](maps[tap]) for tap, name in enumerate(self._branches)
                 if keys is None or name in keys}
        if keys is None or 'feat' in keys:
            pooled = self.pool(maps[-1])
            require_batch(self.reduction, pooled, 'norm_cfg=None in reduction_cfg of the DTLNeck')
            feats['feat'] = self.reduction(pooled)
        return feats

    def _check(self, maps: Sequence[torch.Tensor]) -> None:
        channels = tuple(x.shape[1] for x in maps)
        if self.auxiliary and channels != self.in_channels:
            raise ValueError(f'DTLNeck was built for maps of {self.in_channels} channels and got {channels}. The '
                             'backbone must return the two auxiliary maps and the last one (out_indices=(0, 1, 2) of '
                             'GoogLeNet), or the neck have aux=False.')
        if channels[-1:] != self.in_channels[-1:]:
            raise ValueError(f'DTLNeck was built for a last map of {self.in_channels[-1]} channels and got '
                             f'{channels[-1] if channels else "no map"}')
