"""Metric learning on the embedding itself."""

import inspect

import torch
from torch import nn

from mmreid.models.layers import PairwiseConsistentDropout
from mmreid.models.losses import valid_anchors
from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS

from .base import ReIDHead


@MODELS.register_module()
class TripletHead(ReIDHead):
    """Apply a triplet loss to an embedding; there is nothing to learn in the head.

    Batches should hold several images of each identity (``PKSampler``). The number of rows that have both a positive
    and a negative is logged as ``num_anchors``, and with it what the loss has to say about a batch: if it has a method
    ``with_statistics``, that is called in place of the loss and returns the loss and values by name. A method
    ``check_labels`` of the loss is called for labels that are still on the CPU.

    Args:
        in_key (str): Which embedding to read. Defaults to ``'feat'``.
        loss (dict): Config of the loss. Defaults to ``dict(type='TripletLoss')``.
        dropout (float): Probability of :class:`PairwiseConsistentDropout` on the embedding: each anchor draws one mask
            for all its distances, and what is hard is found under this mask. Defaults to 0.
        dropout_mode (str): ``'consistent'``, for a loss that takes a ``mask`` as :class:`TripletLoss` does, or
            ``'random'``: each image has its own mask, as in ``nn.Dropout``. Defaults to ``'consistent'``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Raises:
        ValueError: If the dropout is consistent and the loss takes no ``mask``.
    """

    def __init__(self,
                 in_key: str = 'feat',
                 loss: dict = dict(type='TripletLoss'),  # noqa: B006 (never changed)
                 dropout: float = 0.0,
                 dropout_mode: str = 'consistent',
                 init_cfg: dict | None = None) -> None:
        super().__init__(in_key, init_cfg)
        self.dropout = PairwiseConsistentDropout(dropout, dropout_mode)
        self.loss_module = MODELS.build(loss)
        if dropout > 0 and dropout_mode == 'consistent' and not _takes_mask(self.loss_module):
            raise ValueError(f'{type(self.loss_module).__name__} takes no mask, which consistent dropout of '
                             "TripletHead needs: set dropout_mode='random' or dropout=0, or take a loss whose forward "
                             'has an argument mask, such as TripletLoss')

    def check_labels(self, labels: torch.Tensor) -> None:
        """Raise an error for batches that the loss cannot use."""
        if hasattr(self.loss_module, 'check_labels'):
            self.loss_module.check_labels(labels)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """Return the embedding as it is, or with masks of the images where these are independent."""
        return self.dropout.before_pairing(feat)

    def loss_by_feat(self, outputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss, number of anchors and statistics of the loss."""
        masks = self.dropout.masks(len(outputs), at_least_float32(outputs))  # 1 / (1 - p) is no number of bfloat16
        # Only a loss that is asked for masks needs to take them.
        mask = {} if masks is None else dict(mask=masks.rows(0, len(outputs)))
        if hasattr(self.loss_module, 'with_statistics'):  # which counts anchors on its way
            loss, statistics = self.loss_module.with_statistics(outputs, labels, **mask)
        else:
            loss, statistics = self.loss_module(outputs, labels, **mask), {}
        if 'num_anchors' not in statistics:
            statistics = dict(num_anchors=valid_anchors(labels).sum().float(), **statistics)
        return dict(loss_triplet=loss, **statistics)


def _takes_mask(loss: nn.Module) -> bool:
    arguments = inspect.signature(loss.forward).parameters.values()
    return any(a.name == 'mask' or a.kind is inspect.Parameter.VAR_KEYWORD for a in arguments)
