"""Base class of the re-identification datasets."""

import logging
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from .data_root import resolve_data_root
from .image_cache import ImageCache
from .image_io import read_image
from .seeding import seeded_rng

#: Raw identity of a wrong detection: never ranked, never a class.
JUNK_PID = -1


class SplitCount(NamedTuple):
    """Size of one part of a dataset; junk and distractors count as images, not as identities."""

    images: int
    pids: int


class ReIDDataset(BaseDataset):
    """Person images with identity, camera and domain.

    A record (:meth:`get_data_info`) holds ``img_path`` (str), ``pid`` (int, raw identity: -1 is junk), ``camid`` (int,
    the number used by the dataset), ``domain`` (int), ``split`` (``'train'``, ``'query'`` or ``'gallery'``),
    ``sample_idx`` (int, the row) and, in training, ``gt_label`` (int, contiguous class index in the order of the sorted
    raw identities; -1 for junk). The test split is one dataset with query and gallery.

    A subclass implements :meth:`load_records`; the files are read by the ``LoadImage`` transform unless the dataset
    holds the pixels itself (:meth:`get_image`). Reading a dataset writes nothing.

    When a row is asked for by a :class:`SeededIndex` (mmreid's training samplers yield them), every random draw of the
    pipeline is seeded by it and the global random states are put back, so that a sample does not depend on the number
    of workers or on what was loaded before. An unreadable image is an error with its path: no other image takes its
    place.

    Args:
        data_root (str): Folder of the dataset. For a relative root, the environment variable ``MMREID_DATA_ROOT``
            takes the place of the leading ``data/``.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        pid_fold (Tuple[int, int], optional): ``(index, count)``: deal the identities of the split, over all cameras,
            into ``count`` folds by ``subset_seed`` and keep one of them, so that two datasets with different folds
            share nobody, whatever else they keep; junk and distractors stay. Defaults to None, all.
        keep_camids (Sequence[int], optional): Keep the images of these cameras only. Defaults to None, all.
        keep_pids (Sequence[int], optional): Keep these raw identities only; junk and distractors stay. Defaults to
            None, all.
        num_pids (int, optional): Keep that many identities, drawn from those left by the options above; junk and
            distractors stay. Defaults to None, all.
        pid_fraction (float, optional): Keep that share of the identities instead of a number, above 0 and at most 1,
            rounded and at least one. Defaults to None, all.
        num_labeled_ids (int, optional): In training, let only that many identities keep their class; the images of
            all others stay, as images without a label (class index -1). Defaults to None, all.
        subset_seed (int): Seed of the draws of identities. Defaults to 0.
        domain_id (int): Number of the dataset among several. Defaults to 0.
        check_counts (bool): Warn when the counts differ from the published ones. Subsets are never compared. Defaults
            to True.
        cache (bool): Decode every image once, when the dataset is built, and keep it in memory. Defaults to False.
        cache_limit_gb (float): Largest size of the cache in GiB. Rows beyond it are read from disk each time, and the
            log says how many. Defaults to 4.0.
        **kwargs: For mmengine's ``BaseDataset``: ``pipeline``, ``lazy_init``, ``serialize_data``, ``indices``
            (``indices`` cuts rows and keeps the numbering of the classes), ``metainfo``, ``test_mode`` (defaults to
            ``split == 'test'``).

    Raises:
        FileNotFoundError: If the folder is missing or is not laid out as expected.
        ValueError: If an option does not fit the dataset: unknown cameras or identities, an empty subset, or test data
            in which no query has a match from another camera.
    """

    #: Splits a user may ask for, and the ``split`` values of their records.
    SPLITS: dict[str, tuple[str, ...]] = dict(train=('train',), test=('query', 'gallery'))
    #: Raw identities that are nobody in particular. Options that select identities leave them in.
    NON_IDENTITIES: tuple[int, ...] = (JUNK_PID,)
    #: Whether training and test data number their identities apart, so that equal numbers are different people.
    NUMBERED_PER_SPLIT = False
    #: Published sizes by record split; empty if there are none.
    PUBLISHED_COUNTS: dict[str, SplitCount] = {}

    def __init__(self,
                 data_root: str = '',
                 split: str = 'train',
                 *,
                 pid_fold: tuple[int, int] | None = None,
                 keep_camids: Sequence[int] | None = None,
                 keep_pids: Sequence[int] | None = None,
                 num_pids: int | None = None,
                 pid_fraction: float | None = None,
                 num_labeled_ids: int | None = None,
                 subset_seed: int = 0,
                 domain_id: int = 0,
                 check_counts: bool = True,
                 cache: bool = False,
                 cache_limit_gb: float = 4.0,
                 **kwargs) -> None:
        if split not in self.SPLITS:
            raise ValueError(f'{type(self).__name__}: split must be one of {", ".join(self.SPLITS)}, got {split!r}')
        self.configured_root = data_root
        self.split = split
        self.pid_fold = pid_fold
        self.keep_camids, self.keep_pids = keep_camids, keep_pids
        self.num_pids, self.pid_fraction = num_pids, pid_fraction
        self.num_labeled_ids, self.subset_seed = num_labeled_ids, subset_seed
        self._check_subset()
        self.domain_id = domain_id
        self.check_counts = check_counts
        self.cache_limit_gb = cache_limit_gb
        self._wants_cache = cache
        self._image_cache: ImageCache | None = None
        self._rows = np.empty(0, dtype=np.int64)  # row in this dataset -> row in the cache
        self._columns: dict[str, np.ndarray] = {}
        kwargs.setdefault('test_mode', split == 'test')
        scope = 'mmreid' if DefaultScope.get_current_instance() is None else None
        with DefaultScope.overwrite_default_scope(scope):  # so that the pipeline is built without a runner, too
            super().__init__(data_root=resolve_data_root(data_root) if data_root else '', data_prefix={}, **kwargs)

    # ---- what a subclass provides ------------------------------------------------------------------------------

    def load_records(self) -> list[dict]:
        """List the images of ``self.split`` in a fixed order.

        Returns:
            List[dict]: Each with ``img_path``, ``pid``, ``camid`` and ``split``.
        """
        raise NotImplementedError(f'{type(self).__name__} must implement load_records')

    def load_image(self, info: dict) -> np.ndarray:
        """Pixels of a record, BGR uint8 of shape ``(H, W, 3)``; fills the cache."""
        return read_image(info['img_path'])

    # ---- building ----------------------------------------------------------------------------------------------

    def load_data_list(self) -> list[dict]:
        """List all records; mmengine calls it in ``full_init``."""
        return [dict(record, domain=self.domain_id) for record in self.load_records()]

    def filter_data(self) -> list[dict]:
        """Keep the subset that was asked for, then number the classes; mmengine calls it in ``full_init``."""
        records = self._select_cameras(self._select_fold(self.data_list))
        records = self._select_pids(records)
        if not records:
            raise ValueError(f'{self._name()}: no image is left ({self._subset_text() or "the dataset is empty"})')
        if self.split == 'train':
            self._number_classes(records)
            self._metainfo['cameras'] = self._camera_names(records)
        else:
            self._metainfo['num_classes'] = 0
            self._check_matches(records)
        return records

    def full_init(self) -> None:
        """Read the dataset, report its size and fill the cache."""
        if self._fully_initialized:
            return
        super().full_init()
        self._rows = np.arange(len(self), dtype=np.int64)
        print_log(self.summary(), logger='current')
        differences = self.count_differences()
        if differences:
            print_log(f'{self._name()}: counts differ from the published ones: {"; ".join(differences)}. Is the folder '
                      'complete? tools/misc/check_dataset.py examines it; check_counts=False silences this.',
                      logger='current', level=logging.WARNING)
        if self._wants_cache:
            self._fill_cache()

    def _select_fold(self, records: list[dict]) -> list[dict]:
        if self.pid_fold is None:
            return records
        index, count = self.pid_fold
        pids = sorted({record['pid'] for record in records} - set(self.NON_IDENTITIES))
        fold = np.random.default_rng(self.subset_seed).permutation(pids)[index::count]
        keep = {*fold.tolist(), *self.NON_IDENTITIES}
        return [record for record in records if record['pid'] in keep]

    def _select_cameras(self, records: list[dict]) -> list[dict]:
        if self.keep_camids is None:
            return records
        keep = self._require_known('keep_camids', self.keep_camids, (record['camid'] for record in records))
        return [record for record in records if record['camid'] in keep]

    def _select_pids(self, records: list[dict]) -> list[dict]:
        present = {record['pid'] for record in records} - set(self.NON_IDENTITIES)
        keep = present
        if self.keep_pids is not None:
            keep = self._require_known('keep_pids', self.keep_pids, present)
        if self.num_pids is not None:
            keep = self._draw_pids(keep, self.num_pids, 'num_pids')
        if self.pid_fraction is not None:
            keep = self._draw_pids(keep, max(1, round(self.pid_fraction * len(keep))), 'pid_fraction')
        if keep == present:
            return records
        keep = keep | set(self.NON_IDENTITIES)
        return [record for record in records if record['pid'] in keep]

    def _check_subset(self) -> None:
        if self.pid_fold is not None:
            index, count = self.pid_fold if len(self.pid_fold) == 2 else (-1, 0)
            if not 0 <= index < count:
                raise ValueError(f'{type(self).__name__}: pid_fold must be (index, count) with an index from 0 to '
                                 f'count - 1, got {self.pid_fold}')
        if self.pid_fraction is not None and not 0 < self.pid_fraction <= 1:
            raise ValueError(f'{type(self).__name__}: pid_fraction must lie above 0 and be at most 1, '
                             f'got {self.pid_fraction}')
        if self.pid_fraction is not None and self.num_pids is not None:
            raise ValueError(f'{type(self).__name__}: give num_pids or pid_fraction, not both')
        if self.num_labeled_ids is not None and self.split != 'train':
            raise ValueError(f'{type(self).__name__}: num_labeled_ids is for training data, got split={self.split!r}')

    def _draw_pids(self, pids: Iterable[int], number: int, option: str) -> set[int]:
        pids = sorted(pids)
        if not 1 <= number <= len(pids):
            raise ValueError(f'{self._name()}: {option}={getattr(self, option)} of {len(pids)} identities')
        rng = np.random.default_rng(self.subset_seed)
        return set(rng.choice(pids, number, replace=False).tolist())

    def _require_known(self, option: str, wanted: Iterable[int], present: Iterable[int]) -> set:
        wanted, present = set(wanted), set(present)
        unknown = sorted(wanted - present)
        if unknown:
            raise ValueError(f'{self._name()}: {option} asks for {_shorten(unknown)}, which the dataset does not have; '
                             f'it has {_shorten(sorted(present))}')
        return wanted

    def _number_classes(self, records: list[dict]) -> None:
        pids = sorted({record['pid'] for record in records} - set(self.NON_IDENTITIES))
        if self.num_labeled_ids is not None:
            pids = sorted(self._draw_pids(pids, self.num_labeled_ids, 'num_labeled_ids'))
        label_of = {pid: label for label, pid in enumerate(pids)}
        for record in records:
            record['gt_label'] = label_of.get(record['pid'], -1)
        self._metainfo['num_classes'] = len(pids)
        self._metainfo['identities'] = f'{self.identity_space()}: {zlib.crc32(repr(pids).encode()):08x}'

    def _camera_names(self, records: list[dict]) -> dict[int, dict[int, str]]:
        """By domain and number, which camera of which dataset it is: equal numbers may be different cameras."""
        names: dict[int, dict[int, str]] = {}
        titles = getattr(self, 'domain_names', {})
        found = {(record.get('domain', self.domain_id), record['camid'], record.get('source_camid', record['camid']))
                 for record in records}
        for domain, camid, source in sorted(found):
            names.setdefault(domain, {})[camid] = f'{titles.get(domain, self._title())} camera {source}'
        return names

    def identity_space(self) -> str:
        """Within what the raw identities are numbered; with the identities, it says who the classes are."""
        return f'{type(self).__name__} {Path(self.data_root).name}'.strip()

    def _check_matches(self, records: list[dict]) -> None:
        cameras: dict[int, set] = {}
        for record in records:
            if record['split'] == 'gallery':
                cameras.setdefault(record['pid'], set()).add(record['camid'])
        queries = [record for record in records if record['split'] == 'query']
        nobody = sorted({query['pid'] for query in queries} & set(self.NON_IDENTITIES))
        if nobody:
            raise ValueError(f'{self._name()}: queries of identity {_shorten(nobody)}, which means nobody in '
                             'particular (-1: junk, 0: distractor). Identities are numbered from 1.')
        lost = [query for query in queries if not cameras.get(query['pid'], set()) - {query['camid']}]
        if len(lost) == len(queries):
            raise ValueError(f'{self._name()}: none of the {len(queries):,} queries has a match from another camera in '
                             f'the gallery ({self._subset_text() or "whole dataset"}); nothing can be evaluated')
        if lost:
            pids = sorted({query['pid'] for query in lost})
            print_log(f'{self._name()}: {len(lost):,} of {len(queries):,} queries have no match from another camera '
                      f'and will not be evaluated (identities {_shorten(pids)})', logger='current',
                      level=logging.WARNING)

    def _fill_cache(self) -> None:
        limit = int(self.cache_limit_gb * 2**30)
        self._image_cache = ImageCache.build(lambda row: self.load_image(self.get_data_info(row)), len(self), limit)
        held, size = len(self._image_cache), self._image_cache.nbytes / 2**20
        text = f'{self._name()}: {held:,} of {len(self):,} images decoded in memory, {size:,.1f} MiB'
        if held < len(self):
            text += f' (the limit is cache_limit_gb={self.cache_limit_gb:g}; the others are read at each access)'
        print_log(text, logger='current', level=logging.INFO if held == len(self) else logging.WARNING)

    # ---- reading -----------------------------------------------------------------------------------------------

    def __getitem__(self, idx: int) -> Any:
        """Sample of a row after the pipeline; see the class for what a :class:`SeededIndex` changes.

        Raises:
            RuntimeError: If a transform drops the sample by returning None.
        """
        if not self._fully_initialized:
            self.full_init()
        with seeded_rng(getattr(idx, 'seed', None)):
            data = self.prepare_data(int(idx))
        if data is None:
            path = self.get_data_info(int(idx))['img_path']
            raise RuntimeError(f'{self._name()}: the pipeline returned None for row {int(idx)}, "{path}". '
                               'A sample is never replaced by another one.')
        return data

    def prepare_data(self, idx: int) -> Any:
        """Apply the pipeline to a record, with its pixels under ``img`` if the dataset holds them."""
        info = self.get_data_info(idx)
        image = self.get_image(idx)
        if image is not None:
            info['img'] = image
        return self.pipeline(info)

    def get_image(self, idx: int) -> np.ndarray | None:
        """Pixels of a row that need no file, here those of the cache; ``None``: to be read from ``img_path``."""
        return None if self._image_cache is None else self._image_cache.get(int(self._rows[idx]))

    @property
    def cache_nbytes(self) -> int:
        """Bytes of decoded images in memory; 0 without a cache."""
        return 0 if self._image_cache is None else self._image_cache.nbytes

    @property
    def num_classes(self) -> int:
        """Number of training classes; 0 for test data."""
        if not self._fully_initialized:
            self.full_init()
        return self._metainfo['num_classes']

    def get_pids(self) -> np.ndarray:
        """Raw identity of each row, int64, read-only."""
        return self._column('pid')

    def get_camids(self) -> np.ndarray:
        """Camera of each row, int64, read-only."""
        return self._column('camid')

    def get_labels(self) -> np.ndarray:
        """Class index of each row, int64, read-only; -1 where there is none."""
        return self._column('gt_label')

    def get_domains(self) -> np.ndarray:
        """Domain of each row, int64, read-only."""
        return self._column('domain')

    def get_splits(self) -> np.ndarray:
        """``'train'``, ``'query'`` or ``'gallery'`` for each row, read-only."""
        return self._column('split')

    def _column(self, key: str) -> np.ndarray:
        if not self._columns:
            infos = [self.get_data_info(row) for row in range(len(self))]
            for name in ('pid', 'camid', 'gt_label', 'domain'):
                self._columns[name] = np.asarray([info.get(name, -1) for info in infos], dtype=np.int64)
            self._columns['split'] = np.asarray([info['split'] for info in infos])
            for column in self._columns.values():
                column.flags.writeable = False
        return self._columns[key]

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep only some rows, in place; class numbers and ``num_classes`` stay."""
        super().get_subset_(indices)
        self._keep_rows(indices)

    def get_subset(self, indices: Sequence[int] | int) -> 'ReIDDataset':
        """Copy with only some rows; it shares the cached images, class numbers and ``num_classes`` stay."""
        subset = super().get_subset(indices)
        subset._keep_rows(indices)
        return subset

    def _copy_without_annotation(self, memo: dict | None = None) -> 'ReIDDataset':
        # mmengine's default is one dict for all calls, which would keep every copied object alive.
        return super()._copy_without_annotation({} if memo is None else memo)

    def _keep_rows(self, indices: Sequence[int] | int) -> None:
        if isinstance(indices, int):
            self._rows = self._rows[:indices] if indices >= 0 else self._rows[indices:]
        else:
            self._rows = self._rows[np.asarray(indices, dtype=np.int64)]
        self._columns = {}

    # ---- reporting ---------------------------------------------------------------------------------------------

    def count(self) -> dict[str, SplitCount]:
        """Images and identities by record split."""
        splits, pids = self.get_splits(), self.get_pids()
        counts = {}
        extra = sorted(set(splits.tolist()) - set(self.SPLITS[self.split]))
        for split in (*self.SPLITS[self.split], *extra):
            inside = pids[splits == split]
            counts[split] = SplitCount(len(inside), len(np.setdiff1d(inside, self.NON_IDENTITIES)))
        return counts

    def count_differences(self) -> list[str]:
        """Where the counts differ from the published ones, in words; empty for a subset or ``check_counts=False``."""
        if not self.check_counts or self._subset_text():
            return []
        differences = []
        for split, counted in self.count().items():
            published = self.PUBLISHED_COUNTS.get(split, counted)
            differences += [
                f'{split} has {got:,} {what} (published: {expected:,})'
                for what, got, expected in zip(('images', 'identities'), counted, published, strict=True)
                if got != expected
            ]
        return differences

    def summary(self) -> str:
        """One line: images, identities and cameras of each part, and the subset that was asked for."""
        camids, splits = self.get_camids(), self.get_splits()
        parts = [
            f'{split} {number.images:,} images / {number.pids:,} identities / '
            f'{len(np.unique(camids[splits == split]))} cameras' for split, number in self.count().items()
        ]
        subset = self._subset_text()
        return f'{self._title()}: {"; ".join(parts)}' + (f' (subset: {subset})' if subset else '')

    def _subset_text(self) -> str:
        draws = (self.pid_fold, self.num_pids, self.pid_fraction, self.num_labeled_ids)
        options = dict(pid_fold=self.pid_fold, keep_camids=self.keep_camids, keep_pids=self.keep_pids,
                       num_pids=self.num_pids, pid_fraction=self.pid_fraction, num_labeled_ids=self.num_labeled_ids,
                       subset_seed=None if draws == (None, ) * len(draws) else self.subset_seed,
                       indices=self._indices)
        return ', '.join(f'{name}={_shorten(value)}' for name, value in options.items() if value is not None)

    def _title(self) -> str:
        return type(self).__name__

    def _name(self) -> str:
        return f'{self._title()} {self.split}'


def _shorten(values: Any, limit: int = 12) -> str:
    if not isinstance(values, (list, tuple, range)):
        return str(values)
    text = ', '.join(str(value) for value in values[:limit])
    return f'[{text}, ... {len(values):,} in all]' if len(values) > limit else f'[{text}]'
