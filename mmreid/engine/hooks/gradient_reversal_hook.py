"""How strongly gradients are reversed, as a function of the position in training."""

import math
from typing import List, Optional, Tuple

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmreid.models.heads import DomainHead
from mmreid.models.layers import GradientReversal
from mmreid.models.layers.gradient_reversal import check_coefficient
from mmreid.registry import HOOKS

SCHEDULES = ('sigmoid', 'constant')


@HOOKS.register_module()
class GradientReversalHook(Hook):
    r"""Set the coefficient of gradient reversal before every batch.

    Schedule ``'sigmoid'`` of `Unsupervised Domain Adaptation by Backpropagation <https://arxiv.org/abs/1409.7495>`_,
    with :math:`p` the share of the training that is done, from 0 to 1:

    .. math:: \lambda_p = c \Big( \frac{2}{1 + \exp(-\gamma p)} - 1 \Big)

    so that the domain classifier learns before the network listens to it; ``'constant'`` is :math:`c` from the first
    batch on ("a certain negative constant" of `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_, section 5.6).

    The coefficient is a function of the position alone, so nothing of it is stored: a training that is resumed has the
    coefficients of an uninterrupted one, as long as it is to have the same length. It applies to every
    :class:`GradientReversal` of the network. Before training the domains of the data are compared with the
    :class:`DomainHead` of the network.

    Args:
        schedule (str): ``'sigmoid'`` or ``'constant'``. Defaults to ``'sigmoid'``.
        coefficient (float): :math:`c`, at least 0. Defaults to 1.
        gamma (float): :math:`\gamma`, positive. Defaults to 10.
        by_epoch (bool): Whether the coefficient changes with each epoch or with each iteration. Defaults to False.

    Raises:
        ValueError: If an argument does not fit or (when training starts) no gradient is reversed in the network, the
            data have one domain only or others than the network was built for, or epochs are to be counted in a
            training by iterations.

    Note:
        Priority ``NORMAL``.

    Example:
        >>> custom_hooks = [dict(type='GradientReversalHook', schedule='sigmoid', coefficient=1.0)]
    """

    priority = 'NORMAL'

    def __init__(self,
                 schedule: str = 'sigmoid',
                 coefficient: float = 1.0,
                 gamma: float = 10.0,
                 by_epoch: bool = False) -> None:
        if schedule not in SCHEDULES:
            raise ValueError(f'schedule must be one of {SCHEDULES}, got {schedule!r}')
        if not (math.isfinite(gamma) and gamma > 0):
            raise ValueError(f'gamma must be positive and finite, got {gamma}')
        self.schedule, self.gamma, self.by_epoch = schedule, float(gamma), by_epoch
        self.coefficient = check_coefficient(coefficient)
        self._layers: Optional[List[GradientReversal]] = None

    def coefficient_at(self, progress: float) -> float:
        """The coefficient where that share of the training, from 0 to 1, is done."""
        if self.schedule == 'constant':
            return self.coefficient
        return self.coefficient * (2.0 / (1.0 + math.exp(-self.gamma * progress)) - 1.0)

    def before_train(self, runner) -> None:
        """Find the layers, and compare the domains of the data with the network."""
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError('GradientReversalHook: by_epoch=True, and a training by iterations is in its first epoch '
                             'to the end: set by_epoch=False')
        self._layers = [module for module in runner.model.modules() if isinstance(module, GradientReversal)]
        if not self._layers:
            raise ValueError('GradientReversalHook: no gradient is reversed in this network; give it a DomainHead: '
                             'heads=dict(domain=dict(type="DomainHead", in_channels=C))')
        self._check_domains(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Set the coefficient of this batch."""
        self.steer(runner)

    def steer(self, runner) -> None:
        """Set the coefficient of the position."""
        done, total = self._position(runner)
        for layer in self._layers:
            layer.coefficient = self.coefficient_at(done / total)

    def _position(self, runner) -> Tuple[int, int]:
        return (runner.epoch, runner.max_epochs) if self.by_epoch else (runner.iter, runner.max_iters)

    @staticmethod
    def _check_domains(runner) -> None:
        dataset = runner.train_loop.dataloader.dataset
        if not hasattr(dataset, 'get_domains'):
            return  # the head looks at every batch
        present = np.unique(dataset.get_domains()).tolist()
        if len(present) < 2:
            raise ValueError(f'the training data have one domain only, {present}; gradient reversal needs at least two '
                             'to make them alike: SourceTargetDataset or MergedReIDDataset')
        for head in runner.model.modules():
            if isinstance(head, DomainHead) and not set(present) <= set(range(head.num_domains)):
                raise ValueError(f'the training data have the domains {present}, and DomainHead was built for '
                                 f'0 ... {head.num_domains - 1}: set num_domains={max(present) + 1}')
