"""Several reductions of one pooled map, side by side."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule, ModuleDict

from mmreid.models.layers import build_pool, require_batch
from mmreid.registry import MODELS

from .reduction_neck import reduction

#: One embedding for the cross-entropy, one for the triplet loss.
PLA_EMBEDDINGS = dict(ce=1024, tri=1024)
#: A bare 1x1 convolution, see the note of :class:`CompositeNeck`.
PLA_REDUCTION = dict(bias=False)


@MODELS.register_module()
class CompositeNeck(BaseModule):
    """Global pooling, then parallel 1x1 convolutions to one embedding for each loss: the network of *Progressive
    Learning Algorithm for Efficient Person Re-Identification* (PLA), Figure 2.

    Heads read the embeddings by their names; the feature of an image, ``feat``, is all of them in a row, in the order
    in which they are named. For losses on *one* embedding, as PLA compares in section 4.3, take ``ReductionNeck`` with
    ``feat_channels=None`` and ``pool='max'``: both heads read its ``feat``.

    Args:
        in_channels (int): Channels of the last map. Defaults to 2048.
        out_channels (dict[str, int]): Length of each embedding by its name. Defaults to ``dict(ce=1024, tri=1024)``.
        pool (str or dict): ``'max'``, ``'avg'``, ``'gem'`` or a layer config. Defaults to ``'max'``.
        reduction_cfg (dict, optional): ``bias``, ``norm_cfg`` and ``act_cfg`` of every 1x1 convolution, see
            :class:`ReductionNeck`. Defaults to None: none of them.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Shape:
        tuple of maps, the last ``(N, in_channels, H, W)`` -> ``dict(ce=(N, 1024), tri=(N, 1024), feat=(N, 2048))``.

    Raises:
        ValueError: If ``in_channels`` is no positive whole number, ``out_channels`` names no embedding, one without a
            length, or gives a name that an embedding cannot have (``feat``, one with a dot, ``keys``, ...), or the map
            has another number of channels.

    Note:
        There is no bias, about which the paper says nothing: distances between images do not see a constant, so a
        triplet loss gives its bias no gradient but rounding errors, which Adam would blow up to steps of full size;
        and a classifier has a bias of its own.

    Example:
        >>> model = dict(
        ...     type='EmbeddingNet', backbone=dict(type='ResNetTaps', depth=50), neck=dict(type='CompositeNeck'),
        ...     heads=dict(ce=dict(type='ClassificationHead', in_key='ce', in_channels=1024, num_classes=None),
        ...                tri=dict(type='TripletHead', in_key='tri')))
    """

    def __init__(self,
                 in_channels: int = 2048,
                 out_channels: Mapping[str, int] = PLA_EMBEDDINGS,
                 pool: str | dict = 'max',
                 reduction_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if type(in_channels) is not int or in_channels < 1:
            raise ValueError(f'in_channels of CompositeNeck must be a positive whole number, got {in_channels!r}')
        _check_embeddings(out_channels)
        self.in_channels = in_channels
        self.pool = build_pool(pool)
        cfg = PLA_REDUCTION if reduction_cfg is None else reduction_cfg
        self.reductions = ModuleDict({name: reduction(in_channels, length, **cfg)
                                      for name, length in out_channels.items()})

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pool the last map and reduce it once for each embedding."""
        pooled = self.pool(maps[-1])
        if pooled.shape[1] != self.in_channels:
            raise ValueError(f'CompositeNeck was built for maps of {self.in_channels} channels and got '
                             f'{pooled.shape[1]}')
        require_batch(self.reductions, pooled, 'norm_cfg=None in reduction_cfg of the CompositeNeck')
        feats = {name: layers(pooled) for name, layers in self.reductions.items()}
        return dict(feats, feat=torch.cat(list(feats.values()), dim=1))


def _check_embeddings(out_channels: Mapping[str, int]) -> None:
    lengths = list(out_channels.values()) if isinstance(out_channels, Mapping) else []
    if not lengths or not all(type(length) is int and length > 0 for length in lengths) or 'feat' in out_channels:
        raise ValueError('out_channels of CompositeNeck must be the length of each embedding by its name, such as '
                         'dict(ce=1024, tri=1024), and "feat" is the name of all of them together; got '
                         f'{out_channels!r}. For a single embedding take dict(type="ReductionNeck", in_channels=2048, '
                         'feat_channels=None, pool="max").')
    taken = ModuleDict()  # its methods and attributes are no names for its parts
    wrong = [name for name in out_channels if not isinstance(name, str) or not name or '.' in name
             or hasattr(taken, name)]
    if wrong:
        raise ValueError('an embedding of CompositeNeck must have a name such as "tri", without dots and not that of '
                         f'an attribute of a module, got {", ".join(map(repr, wrong))}')
