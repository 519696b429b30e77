"""P identities x K images of a labelled source, and unlabelled images, in one batch."""

from collections.abc import Sized

import numpy as np

from mmreid.registry import DATA_SAMPLERS

from .domains import shuffled_rounds
from .pk import PKSampler

#: A random stream of the epoch besides those of the base class.
_UNLABELLED = 2


@DATA_SAMPLERS.register_module()
class SourceTargetPKSampler(PKSampler):
    """Batches of P identities with K images each and of U images without a label behind them.

    For losses that need pairs or triplets of the source (verification) while something else learns from images of a
    target: the labelled part is that of :class:`PKSampler` with the same seed, image by image, and the rows labelled
    -1 come in shuffled rounds. An epoch is as long as one of the :class:`PKSampler`, in batches; the ranks draw
    different unlabelled images as far as there are enough.

    Set the data loader's ``batch_size`` to ``P * K + U``.

    Args:
        dataset (Sized): Dataset with ``get_labels() -> (N,)`` int64, such as
            :class:`~mmreid.datasets.source_target.SourceTargetDataset`.
        num_pids (int): P, identities in a batch of one rank.
        num_instances (int): K, images of each identity.
        num_unlabelled (int, optional): U, images without a label in a batch of one rank. Defaults to None: ``P * K``,
            half of the batch.
        **kwargs: ``seed`` and ``epoch_over`` of :class:`PKSampler`.

    Raises:
        ValueError: If U is not positive, no row is without a label, or as :class:`PKSampler` says.

    Example:
        >>> train_dataloader = dict(
        ...     batch_size=128, sampler=dict(type='SourceTargetPKSampler', num_pids=32, num_instances=2), ...)
    """

    def __init__(self, dataset: Sized, num_pids: int, num_instances: int, num_unlabelled: int | None = None,
                 **kwargs) -> None:
        super().__init__(dataset, num_pids, num_instances, **kwargs)
        self.num_unlabelled = num_pids * num_instances if num_unlabelled is None else num_unlabelled
        if self.num_unlabelled < 1:
            raise ValueError(f'num_unlabelled must be positive, got {num_unlabelled}; PKSampler draws labelled images '
                             'alone')
        if not (self._labels() < 0).any():
            raise ValueError('SourceTargetPKSampler needs images without a label (class -1), and every image of the '
                             'dataset has one: use SourceTargetDataset, or PKSampler')

    @property
    def batch_size(self) -> int:
        """Samples in a batch of one rank, ``P * K + U``."""
        return super().batch_size + self.num_unlabelled

    def epoch_indices(self) -> np.ndarray:
        """Rows drawn by this rank in the epoch."""
        labelled = super().epoch_indices().reshape(-1, self.num_pids * self.num_instances)
        rows, wanted = np.flatnonzero(self._labels() < 0), len(labelled) * self.world_size * self.num_unlabelled
        rng = np.random.default_rng([self.seed, self.epoch, _UNLABELLED])
        drawn = shuffled_rounds(rows, wanted, rng).reshape(len(labelled), self.world_size, -1)[:, self.rank]
        return np.concatenate([labelled, drawn], axis=1).ravel()

    def _num_batches(self, labels: np.ndarray) -> int:
        if self.epoch_over == 'identities':
            return super()._num_batches(labels)
        return max(1, int((labels >= 0).sum()) // (self.num_pids * self.num_instances * self.world_size))
