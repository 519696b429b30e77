"""The same head on several embeddings."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule, ModuleDict

from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

REDUCTIONS = ('mean', 'sum')


@MODELS.register_module()
class HeadGroup(BaseModule):
    """One head for each of several embeddings, with weights of its own; their losses are averaged or summed.

    The group gives what one of its heads gives. What is only logged, such as the accuracy, is averaged in either case.

    Args:
        in_keys (Sequence[str]): Embeddings of the neck.
        head (dict): Config of a head, without ``in_key``.
        reduction (str): ``'mean'`` or ``'sum'`` of the losses. Defaults to ``'mean'``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If there are no embeddings or one twice, ``head`` names an ``in_key``, or ``reduction`` is unknown.

    Example:
        >>> heads = dict(id=dict(
        ...     type='HeadGroup', in_keys=['global_1', 'part_2_1', 'part_2_2'],
        ...     head=dict(type='ClassificationHead', in_channels=256, num_classes=None)))
    """

    def __init__(self,
                 in_keys: Sequence[str],
                 head: dict,
                 reduction: str = 'mean',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if isinstance(in_keys, str) or not in_keys or len(set(in_keys)) != len(in_keys):
            raise ValueError(f'in_keys of HeadGroup must be a list of different embeddings, got {in_keys!r}')
        if 'in_key' in head:
            raise ValueError(f'the head of a HeadGroup gets its in_key from in_keys and must not name one, got '
                             f'in_key={head["in_key"]!r}')
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction of HeadGroup must be one of {REDUCTIONS}, got {reduction!r}')
        self.reduction = reduction
        self.heads = ModuleDict({key: MODELS.build(dict(head, in_key=key)) for key in in_keys})

    def loss(self, feats: dict[str, torch.Tensor], data_samples: Sequence[ReIDDataSample]) -> dict[str, torch.Tensor]:
        """Losses of a batch, see :meth:`ReIDHead.loss`."""
        of_heads = [head.loss(feats, data_samples) for head in self.heads.values()]
        return {name: self._reduce(name, [values[name] for values in of_heads]) for name in of_heads[0]}

    def _reduce(self, name: str, values: list[torch.Tensor]) -> torch.Tensor:
        stacked = torch.stack(values)
        return stacked.sum(0) if self.reduction == 'sum' and 'loss' in name else stacked.mean(0)
