"""Guards around normalisation layers."""

import torch
from torch import nn


def require_batch(module: nn.Module, x: torch.Tensor, otherwise: str = '') -> None:
    """Refuse a batch of one image where batch statistics of vectors are needed.

    Args:
        module (nn.Module): The module that is about to be applied.
        x (torch.Tensor): Its input, ``(N, C)``.
        otherwise (str): What else there is to do, where the module can be had without the norm: an option of the
            caller. Defaults to ``''``: nothing.

    Raises:
        ValueError: If ``module`` normalises vectors with the statistics of the batch and ``N`` is 1.
    """
    if len(x) != 1:
        return
    # SyncBatchNorm is no BatchNorm1d: it may well have one image a process.
    if any(isinstance(m, nn.BatchNorm1d) and m.training for m in module.modules()):
        raise ValueError('batch normalisation of feature vectors needs at least two images in a training batch, got '
                         'one. Set drop_last=True in train_dataloader (the last batch of an epoch may be too small) or '
                         f'use a larger batch{f", or {otherwise}" if otherwise else ""}.')
