"""P identities x K images a batch, all of one dataset."""

from collections.abc import Sized

import numpy as np

from mmreid.registry import DATA_SAMPLERS

from .domains import apportion, domain_name, interleave, read_domains
from .pk import PKSampler
from .pk_queues import PKQueue


@DATA_SAMPLERS.register_module()
class SingleDatasetPKSampler(PKSampler):
    r"""Batches of P identities with K images each, every batch from one of several merged datasets.

    `Metric Embedding Autoencoders for Unsupervised Cross-Dataset Transfer Learning
    <https://arxiv.org/abs/1807.10591>`_ (EmbAE), section 3.3: the network never sees images of two datasets at once, so
    that it cannot lower the loss by pushing the datasets apart, and the dataset changes continuously.

    * An epoch has ``num_rows // (P * K * world_size)`` batches a rank: the steps per epoch of the paper,
      :math:`N_\mathrm{total} / N_\mathrm{batch}`. Each dataset gets its share of them by its number of images, at
      least one.
    * The batches of a dataset are spread evenly over the epoch; where they start is drawn anew for each epoch.
    * In a step, all ranks draw from the same dataset, and their identities are distinct.
    * Within a dataset, identities and images take turns as in :class:`PKSampler`.

    The datasets are told apart by ``dataset.get_domains()``; rows labelled -1 are never drawn. Set the data loader's
    ``batch_size`` to ``P * K``.

    Note:
        An identity with fewer than K images (VIPeR: two) gives each of them at least once and repeats some. Every copy
        is augmented on its own; without augmentation their distance is 0. The batch-hard loss takes the *farthest*
        positive, so copies never hide a real pair: with two images and K = 4, all four anchors are compared with the
        other image, and an image that comes three times counts three times in the mean. With a single image, the
        positive is a copy: the distance of two augmentations or 0, which has no gradient (see
        :func:`mmreid.utils.pairwise_distance`), while the nearest negative still pushes. A loss that averages over
        all positive pairs would be diluted by the copies.

    Args:
        dataset (Sized): Dataset with ``get_labels()`` and ``get_domains()``, both ``(N,)`` int64: a
            :class:`~mmreid.datasets.merged.MergedReIDDataset`.
        num_pids (int): P, identities in a batch of one rank. The paper uses 18.
        num_instances (int): K, images of each identity. The paper uses 4.
        seed (int, optional): Seed shared by all ranks. Defaults to None: drawn once and synchronised.

    Raises:
        ValueError: If P or K is not positive, or a dataset has fewer than ``P * world_size`` identities.
        TypeError: If the dataset has no ``get_labels`` or no ``get_domains``.

    Example:
        >>> train_dataloader = dict(
        ...     batch_size=72, sampler=dict(type='SingleDatasetPKSampler', num_pids=18, num_instances=4), ...)
    """

    def __init__(self, dataset: Sized, num_pids: int, num_instances: int, seed: int | None = None) -> None:
        read_domains(dataset, type(self).__name__)
        super().__init__(dataset, num_pids, num_instances, seed)

    def epoch_indices(self) -> np.ndarray:
        """Rows drawn by this rank in the epoch."""
        labels = self._labels()
        self._require_enough(labels)
        rng = self.order_rng()
        rows = self._rows_of_domains(labels)
        queues = [PKQueue(own, labels[own], self.num_instances, rng) for own in rows.values()]
        turns = interleave(apportion(self._num_batches(labels), [len(own) for own in rows.values()]), rng)
        return self._own_rows(queues[turn] for turn in turns)

    def _num_batches(self, labels: np.ndarray) -> int:
        return max(super()._num_batches(labels), len(self._rows_of_domains(labels)))

    def _rows_of_domains(self, labels: np.ndarray) -> dict[int, np.ndarray]:
        """Labelled rows of each domain that has any."""
        domains = read_domains(self.dataset, type(self).__name__)
        return {domain: np.flatnonzero((domains == domain) & (labels >= 0))
                for domain in np.unique(domains[labels >= 0]).tolist()}

    def _require_enough(self, labels: np.ndarray) -> None:
        needed = self.num_pids * self.world_size
        rows = self._rows_of_domains(labels)
        if not rows:
            super()._require_enough(labels)
        counts = {domain: len(np.unique(labels[own])) for domain, own in rows.items()}
        short = [f'{domain_name(self.dataset, domain)} has {count}' for domain, count in counts.items()
                 if count < needed]
        if short:
            raise ValueError(f'SingleDatasetPKSampler needs num_pids={self.num_pids} x {self.world_size} process(es) = '
                             f'{needed} different identities of one dataset in a batch; {"; ".join(short)}. Lower '
                             f'num_pids to at most {min(counts.values()) // self.world_size} (and batch_size with it) '
                             'or leave the dataset out.')
