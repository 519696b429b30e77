"""Labels that are laid over images which have none."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch.utils.data import Dataset

from mmreid.registry import DATASETS

from .base import ReIDDataset
from .known_cameras import without_cameras
from .seeding import seeded_rng

#: Values of ``label_source`` of a record.
TRUE, PSEUDO = 'true', 'pseudo'


@DATASETS.register_module()
class PseudoLabelDataset(Dataset):
    """An overlay of labels over a dataset, which itself is never changed.

    mmengine's datasets serialise their annotations, so labels cannot be edited in place; here they lie beside them. The
    overlay has the rows that were selected, each with its label (``gt_label``) and ``label_source`` (``'true'`` or
    ``'pseudo'``). Until :meth:`set_labels` is called it has all rows, without labels.

    The labels of the images below are not read, except with ``keep_labels=True``: then images with a class (those of
    ``num_labeled_ids``) are the labelled part, which :meth:`set_labels` joins to every selection with classes of their
    own behind the clusters, and the others are the pool.

    Args:
        dataset (dict | ReIDDataset): Training images. Its pipeline is not used.
        pipeline (Sequence): Transforms for training.
        test_pipeline (Sequence): Transforms under which features are extracted.
        keep_labels (bool): Whether labelled images are in use (semi-supervised). Defaults to False.

    Raises:
        TypeError: If ``dataset`` is neither a config nor a :class:`ReIDDataset`.
        ValueError: If it is not training data, or ``keep_labels`` finds no label.

    Example:
        >>> dataset = dict(
        ...     type='PseudoLabelDataset',
        ...     dataset=dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        ...     pipeline=train_pipeline,
        ...     test_pipeline=test_pipeline)
    """

    def __init__(self,
                 dataset: dict | ReIDDataset,
                 pipeline: Sequence[dict | Callable],
                 test_pipeline: Sequence[dict | Callable],
                 keep_labels: bool = False) -> None:
        scope = 'mmreid' if DefaultScope.get_current_instance() is None else None
        with DefaultScope.overwrite_default_scope(scope):  # so that it is built without a runner, too
            self.source = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
            self.pipeline, self.test_pipeline = Compose(list(pipeline)), Compose(list(test_pipeline))
        if not isinstance(self.source, ReIDDataset):
            raise TypeError('PseudoLabelDataset: dataset must be a config or a ReIDDataset, '
                            f'got {type(self.source).__name__}')
        if self.source.split != 'train':
            raise ValueError(f'PseudoLabelDataset: labels are laid over training data, got split={self.source.split!r}')
        self.keep_labels = keep_labels
        self._rows = np.empty(0, dtype=np.int64)
        self._labels = np.empty(0, dtype=np.int64)
        self._pseudo = np.empty(0, dtype=bool)
        self._num_classes = 0
        self._fingerprint = ''  # computed when first asked for
        self._initialized = False
        self.full_init()

    # ---- labels ------------------------------------------------------------------------------------------------

    def full_init(self) -> None:
        """Read the images below; the runner calls it, too."""
        if self._initialized:
            return
        self.source.full_init()
        self._initialized = True
        if self.keep_labels and not len(self.labelled_rows):
            raise ValueError(f'PseudoLabelDataset: keep_labels=True, and no image of {self.source.summary()} has a '
                             'label; num_labeled_ids of the dataset says how many identities keep theirs')
        self.clear_labels()

    @property
    def labelled_rows(self) -> np.ndarray:
        """Rows of the source whose true labels are in use, int64; none unless ``keep_labels``."""
        return np.flatnonzero(self.source.get_labels() >= 0) if self.keep_labels else np.empty(0, dtype=np.int64)

    @property
    def pool_rows(self) -> np.ndarray:
        """Rows of the source that wait for a label, int64."""
        return np.setdiff1d(np.arange(len(self.source)), self.labelled_rows)

    def clear_labels(self) -> None:
        """All rows, none with a label."""
        self._rows = np.arange(len(self.source))
        self._labels = np.full(len(self.source), -1, dtype=np.int64)
        self._pseudo = np.ones(len(self.source), dtype=bool)
        self._num_classes = 0

    def set_labels(self, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Lay labels over the pool; the overlay then has the selected rows of the pool and the labelled rows.

        Args:
            labels (np.ndarray): Cluster of each row of :attr:`pool_rows`, int64 ``(N,)``, -1: none.
            mask (np.ndarray, optional): Which of them are selected, bool ``(N,)``. Defaults to None: those with a
                label.

        Raises:
            ValueError: If shapes do not fit, a selected row has no label, clusters are not numbered from 0 without
                gaps, or nothing is left to train on.
        """
        pool, known = self.pool_rows, self.labelled_rows
        labels = np.asarray(labels, dtype=np.int64)
        mask = labels >= 0 if mask is None else np.asarray(mask, dtype=bool)
        if labels.shape != pool.shape or mask.shape != pool.shape:
            raise ValueError(f'labels and mask must have one entry for each of the {len(pool):,} images of the pool, '
                             f'got {labels.shape} and {mask.shape}')
        if (labels[mask] < 0).any():
            raise ValueError(f'{int((labels[mask] < 0).sum()):,} selected images have no label')
        clusters = np.unique(labels[mask])
        if len(clusters) and clusters[-1] != len(clusters) - 1:
            raise ValueError(f'clusters of the selected images must be numbered from 0 without gaps, got '
                             f'{len(clusters)} different ones up to {clusters[-1]}')
        if not mask.any() and not len(known):
            raise ValueError('no image is selected: nothing can be trained on')
        # Identities with labels come behind the clusters; their order is that of the dataset's classes.
        truth = self.source.get_labels()[known] if len(known) else np.empty(0, dtype=np.int64)
        true_classes, true_labels = np.unique(truth, return_inverse=True)
        rows = np.concatenate([pool[mask], known])
        order = np.argsort(rows, kind='stable')
        self._rows = rows[order]
        self._labels = np.concatenate([labels[mask], len(clusters) + true_labels.astype(np.int64)])[order]
        self._pseudo = np.concatenate([np.ones(int(mask.sum()), dtype=bool), np.zeros(len(known), dtype=bool)])[order]
        self._num_classes = len(clusters) + len(true_classes)

    @property
    def metainfo(self) -> dict[str, Any]:
        """``num_classes`` (at least 1, so that a classifier can be built before there are labels)."""
        return dict(num_classes=max(1, self._num_classes), identities=None)

    # ---- a dataset like any other ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, idx: int) -> Any:
        """Training sample of a row of the overlay."""
        with seeded_rng(getattr(idx, 'seed', None)):
            return self.pipeline(self._record(int(idx)))

    def get_data_info(self, idx: int) -> dict:
        """Record of a row of the overlay, with the laid label."""
        info = self.source.get_data_info(int(self._rows[idx]))
        info['gt_label'] = int(self._labels[idx])
        info['label_source'] = PSEUDO if self._pseudo[idx] else TRUE
        return info

    def _record(self, idx: int) -> dict:
        info, image = self.get_data_info(idx), self.source.get_image(int(self._rows[idx]))
        if image is not None:
            info['img'] = image
        return info

    def get_labels(self) -> np.ndarray:
        """Label of each row, int64; -1 before there are labels."""
        return self._labels

    def get_rows(self) -> np.ndarray:
        """Row of the source of each row, int64."""
        return self._rows

    def get_camids(self) -> np.ndarray:
        """Camera of each row, int64."""
        return self.source.get_camids()[self._rows]

    def pool_camids(self) -> Optional[np.ndarray]:
        """Camera of each image of the pool, int64; None where nobody knows: unknown ones of a data set are all 0."""
        camids = self.source.get_camids()[self.pool_rows]
        unknown = len(np.unique(camids)) < 2 and any(without_cameras(self.source))
        return None if unknown or camids.min(initial=0) < 0 else camids

    def get_domains(self) -> np.ndarray:
        """Domain of each row, int64."""
        return self.source.get_domains()[self._rows]

    def fingerprint(self) -> str:
        """SHA-256 of the images below (data set, names without folders, cameras), by which a training that is resumed
        knows whether its labels are for these images."""
        if not self._fingerprint:
            digest = hashlib.sha256(self.source.identity_space().encode())
            for row, camid in enumerate(self.source.get_camids().tolist()):
                digest.update(f'{Path(self.source.get_data_info(row)["img_path"]).name} {camid}\n'.encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def pool_view(self) -> 'PoolView':
        """The pool under the test pipeline, for the extraction of features."""
        return PoolView(self)

    def summary(self) -> str:
        """One line on what is selected."""
        pseudo = int(self._pseudo.sum())
        known = f', {len(self) - pseudo:,} labelled' if self.keep_labels else ''
        return (f'PseudoLabelDataset: {pseudo:,} of {len(self.pool_rows):,} images without label{known}, '
                f'{self._num_classes:,} classes, over {self.source.summary()}')


class PoolView(Dataset):
    """Images of the pool in their order, under the test pipeline, without labels."""

    def __init__(self, overlay: PseudoLabelDataset) -> None:
        self.source, self.pipeline, self.rows = overlay.source, overlay.test_pipeline, overlay.pool_rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, idx: int) -> Any:
        row = int(self.rows[int(idx)])
        info, image = self.source.get_data_info(row), self.source.get_image(row)
        info.pop('gt_label', None)
        info['sample_idx'] = int(idx)
        if image is not None:
            info['img'] = image
        return self.pipeline(info)
