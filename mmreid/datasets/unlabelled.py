"""Training images without their labels."""

import logging
from collections.abc import Callable, Sequence

from mmengine.logging import print_log

from mmreid.registry import DATASETS

from .base import JUNK_PID, ReIDDataset
from .merged import MergedReIDDataset


@DATASETS.register_module()
class UnlabelledDataset(MergedReIDDataset):
    """Images of one or several datasets of which only cameras and domains are known.

    A :class:`MergedReIDDataset` in which every image has identity -1 and class -1, whatever its dataset knows about it,
    so that nothing that trains on it can read who is seen; that labels were there is said in the log. There are 0
    classes. A single dataset keeps the numbers of its cameras and its domain.

    For trainings that need no label at all, such as the fine-tuning of an autoencoder; where labels are guessed while
    training goes on, take :class:`PseudoLabelDataset`, where some images keep theirs, :class:`SourceTargetDataset`.

    Args:
        dataset (dict | ReIDDataset | Sequence): Training images, as a config or an object; a list: several datasets.
        pipeline (Sequence, optional): Transforms for all images. Defaults to None: each part uses its own.
        **kwargs: See :class:`MergedReIDDataset`. What selects identities belongs to the parts: here there are none.

    Raises:
        ValueError: If there is no dataset, one is not training data, or two hold the same image.
        TypeError: If one is neither a config nor a :class:`ReIDDataset`.

    Example:
        >>> train_dataloader = dict(
        ...     batch_size=72,
        ...     sampler=dict(type='ShuffleSampler'),
        ...     dataset=dict(
        ...         type='UnlabelledDataset',
        ...         dataset=dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        ...         pipeline=train_pipeline))
    """

    def __init__(self,
                 dataset: dict | ReIDDataset | Sequence[dict | ReIDDataset],
                 pipeline: Sequence[dict | Callable] | None = None,
                 **kwargs) -> None:
        super().__init__(list(dataset) if isinstance(dataset, (list, tuple)) else [dataset], pipeline, **kwargs)

    def load_records(self) -> list[dict]:
        """List the images of all parts, which know nothing about who is seen."""
        records = super().load_records()
        ignored = sum(record['gt_label'] >= 0 for record in records)
        if ignored:
            print_log(f'{self._title()}: {ignored:,} of {len(records):,} images have labels, which are not read',
                      logger='current', level=logging.INFO)
        for record in records:
            record.update(pid=JUNK_PID, source_pid=JUNK_PID, gt_label=-1)
        return records

    def _number_classes(self, records: list[dict]) -> None:
        self._metainfo.update(num_classes=0, identities=None)

    def _title(self) -> str:
        return f'{type(self).__name__} of {", ".join(dict.fromkeys(part._title() for part in self.datasets))}'
