"""A labelled source and unlabelled targets as one training set."""

import logging
from collections.abc import Callable, Sequence

from mmengine.logging import print_log

from mmreid.registry import DATASETS

from .base import JUNK_PID, ReIDDataset
from .merged import MergedReIDDataset


@DATASETS.register_module()
class SourceTargetDataset(MergedReIDDataset):
    """Images of a source with their labels and images of one or several targets without, told apart by ``domain``.

    A :class:`MergedReIDDataset` in which only the first part keeps its labels. Images of the targets have class -1 and
    identity -1 whatever their dataset knows about them, so that nothing that trains on them can read it; that labels
    were there is said in the log. Classes are those of the source, in their order: a checkpoint that was trained on the
    source alone loads here with its classifier.

    The source is domain 0, also if it is merged of several datasets ("simply merged into one", footnote 3 of `Deep
    Transfer Learning for Person Re-identification <https://arxiv.org/abs/1611.05244>`_), the targets are 1, 2, ...;
    ``domain_id`` of the parts is not read.

    Args:
        source (dict | ReIDDataset): Labelled training images, as a config or an object.
        target (dict | ReIDDataset | Sequence): Images whose labels are not read; a list: several targets.
        pipeline (Sequence, optional): Transforms for all images. Defaults to None: each part uses its own.
        **kwargs: See :class:`MergedReIDDataset`.

    Raises:
        ValueError: If there is no target, the source has no class, a part is not training data, or two parts hold the
            same image.
        TypeError: If a part is neither a config nor a :class:`ReIDDataset`.

    Example:
        >>> train_dataloader = dict(
        ...     batch_size=64,
        ...     sampler=dict(type='DomainBalancedSampler'),
        ...     dataset=dict(
        ...         type='SourceTargetDataset',
        ...         source=dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        ...         target=dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'),
        ...         pipeline=train_pipeline))
    """

    def __init__(self,
                 source: dict | ReIDDataset,
                 target: dict | ReIDDataset | Sequence[dict | ReIDDataset],
                 pipeline: Sequence[dict | Callable] | None = None,
                 **kwargs) -> None:
        targets = list(target) if isinstance(target, (list, tuple)) else [target]
        if not targets:
            raise ValueError('SourceTargetDataset: there must be at least one target, got none; a source alone needs '
                             'no wrapper')
        super().__init__([source, *targets], pipeline, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images of all parts; those of the targets know nothing about who is seen."""
        records = super().load_records()
        ignored = 0
        for record in records:
            if record['part'] > 0:
                ignored += record['gt_label'] >= 0
                record.update(pid=JUNK_PID, source_pid=JUNK_PID, gt_label=-1)
        if ignored:
            print_log(f'SourceTargetDataset: {ignored:,} images of the target{"s" * (len(self.datasets) > 2)} have '
                      'labels, which are not read', logger='current', level=logging.INFO)
        return records

    def _number_domains(self, parts: list[list[dict]]) -> dict[tuple[int, int], int]:
        self.domain_names = {number: dataset._title() for number, dataset in enumerate(self.datasets)}
        return {(number, info['domain']): number for number, infos in enumerate(parts) for info in infos}

    def _number_classes(self, records: list[dict]) -> None:
        super()._number_classes(records)
        if not self._metainfo['num_classes']:
            raise ValueError(f'SourceTargetDataset: the source, {self.datasets[0].summary()}, has no labelled image; '
                             'the first dataset is the one whose labels are read')
        if not self._subset_text():  # the classes of the source, all of them and nobody else
            self._metainfo['identities'] = self.datasets[0].metainfo['identities']

    def _title(self) -> str:
        return f'{type(self).__name__} of a source and {len(self.datasets) - 1} without labels'
