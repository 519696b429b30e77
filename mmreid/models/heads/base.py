"""What all heads have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule

from mmreid.structures import ReIDDataSample
from mmreid.utils.config import config_errors


class ReIDHead(BaseModule):
    """Base of heads: ``loss`` is ``forward`` on one embedding followed by ``loss_by_feat``.

    A subclass writes :meth:`forward` and :meth:`loss_by_feat`. A label of -1 means "none" and is to be ignored. What
    must enter the total loss has "loss" in its name; what is only logged must not.

    Args:
        in_key (str): Which embedding of the neck the head reads. Defaults to ``'feat'``.
        init_cfg (dict, optional): Initialization config. Defaults to None.
    """

    def __init__(self, in_key: str = 'feat', init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.in_key = in_key

    @abstractmethod
    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """Transform the embedding ``(N, C)``."""

    @abstractmethod
    def loss_by_feat(self, outputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Losses and logged values from the outputs of :meth:`forward` and the labels ``(N,)`` on their device."""

    def targets_of(self, data_samples: Sequence[ReIDDataSample]) -> torch.Tensor:
        """What the outputs are compared with, ``(N,)``: the labels, unless a subclass reads something else.

        Raises:
            ValueError: If a sample has none.
        """
        return stack_labels(data_samples)

    def check_labels(self, labels: torch.Tensor) -> None:
        """Raise an error for labels that the head cannot use; called while they are still on the CPU."""

    def batch_facts(self, labels: torch.Tensor, data_samples: Sequence[ReIDDataSample]) -> dict[str, Any]:
        """What :meth:`loss_by_feat` of a subclass is told besides the labels ``(N,)``, found out where these are."""
        return {}

    def loss(self, feats: dict[str, torch.Tensor], data_samples: Sequence[ReIDDataSample]) -> dict[str, torch.Tensor]:
        """Losses of a batch.

        Raises:
            KeyError: If the neck gives no embedding named ``in_key``.
            ValueError: If a sample has no label or the labels do not suit the head.
        """
        if self.in_key not in feats:
            raise KeyError(f'{type(self).__name__} reads in_key={self.in_key!r}, the neck gives {sorted(feats)}')
        labels = self.targets_of(data_samples)
        if not labels.is_cuda:  # looking at values on a GPU would wait for it
            with config_errors((ValueError, )):  # labels and what the config says of them do not go together
                self.check_labels(labels)
        facts = self.batch_facts(labels, data_samples)
        outputs = self(feats[self.in_key])
        return self.loss_by_feat(outputs, labels.to(outputs.device, non_blocking=True), **facts)


def stack_labels(data_samples: Sequence[ReIDDataSample]) -> torch.Tensor:
    """Labels ``(N,)`` of a batch.

    Raises:
        ValueError: If there are no samples or one has no ``gt_label``.
    """
    if not data_samples:
        raise ValueError('a loss needs data_samples with gt_label, got none')
    for sample in data_samples:
        if 'gt_label' not in sample:
            raise ValueError(f'no gt_label on the sample of {sample.get("img_path", "an unnamed image")}; a loss needs '
                             'a training dataset (-1 marks an image without a label)')
    return torch.stack([sample.gt_label for sample in data_samples])
