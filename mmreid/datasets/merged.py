"""Several datasets as one for training."""

import os.path as osp
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from mmengine.registry import DefaultScope

from mmreid.registry import DATASETS

from .base import JUNK_PID, ReIDDataset


@DATASETS.register_module()
class MergedReIDDataset(ReIDDataset):
    """Training sets of several datasets as one, in which nobody is mistaken for somebody of another dataset.

    * Identities and cameras are renumbered so that two datasets share neither: those of the first keep their numbers,
      the others follow. A record keeps the published ones as ``source_pid`` and ``source_camid``.
    * Junk and distractors (see ``NON_IDENTITIES`` of each dataset) have ``pid`` -1, images without a label stay, with
      class -1.
    * Classes are numbered from 0 without gaps, the datasets one after another, each in its own order.
    * ``domain`` tells the datasets apart: their ``domain_id`` if all of them differ, else the number of the dataset in
      the list. (Merged datasets can be merged again; each of their domains stays one.)

    Pixels come from the part that holds them, so a part may keep its images in memory or draw them, and ``cache=True``
    of the whole works, too. Options that select identities or cameras are best given to the parts; given to the whole,
    they mean the new numbers.

    Only training splits can be merged: an evaluation over several datasets would rank the queries of one in the
    gallery of the others. Evaluate on each dataset on its own.

    Args:
        datasets (Sequence[dict | ReIDDataset]): The parts, as configs or objects, at least one. Do not change a part
            afterwards.
        pipeline (Sequence, optional): Transforms for all images. Defaults to None: each part uses its own.
        split (str): Must be ``'train'``.
        **kwargs: See :class:`ReIDDataset`; ``data_root`` and ``domain_id`` belong to the parts.

    Raises:
        ValueError: If there is no part, a part is not training data, or two parts hold the same image.
        TypeError: If a part is neither a config nor a :class:`ReIDDataset`.

    Example:
        >>> dataset = dict(
        ...     type='MergedReIDDataset',
        ...     datasets=[dict(type='Market1501'), dict(type='DukeMTMCreID')],
        ...     pipeline=train_pipeline)
    """

    SPLITS: dict[str, tuple[str, ...]] = dict(train=('train', ))

    def __init__(self,
                 datasets: Sequence[dict | ReIDDataset],
                 pipeline: Sequence[dict | Callable] | None = None,
                 split: str = 'train',
                 **kwargs) -> None:
        if split != 'train':
            raise ValueError(f'MergedReIDDataset: only training splits can be merged, got split={split!r}. Evaluate on '
                             'each dataset on its own.')
        misplaced = sorted({'data_root', 'domain_id'} & set(kwargs))
        if misplaced:
            raise ValueError(f'MergedReIDDataset: {" and ".join(misplaced)} must be given to the parts in `datasets`')
        self.datasets = _build_parts(datasets)
        self.domain_names: dict[int, str] = {}
        self._has_pipeline = pipeline is not None
        super().__init__(split=split, pipeline=list(pipeline or []), **kwargs)

    # ---- building ----------------------------------------------------------------------------------------------

    def load_data_list(self) -> list[dict]:
        """List the images of all parts, one part after another; mmengine calls it in ``full_init``."""
        return self.load_records()

    def load_records(self) -> list[dict]:
        """List the images of all parts, one part after another, with new identities, cameras and domains."""
        for dataset in self.datasets:
            dataset.full_init()
        parts = [[dataset.get_data_info(row) for row in range(len(dataset))] for dataset in self.datasets]
        self._refuse_shared_images(parts)
        domain_of = self._number_domains(parts)
        records: list[dict] = []
        first_pid = first_camid = 0
        for number, (dataset, infos) in enumerate(zip(self.datasets, parts, strict=True)):
            for row, info in enumerate(infos):
                pid, camid = info['pid'], info['camid']
                info.update(
                    pid=JUNK_PID if pid in dataset.NON_IDENTITIES else first_pid + pid,
                    camid=first_camid + camid,
                    domain=domain_of[number, info['domain']],
                    source_pid=info.get('source_pid', pid),
                    source_camid=info.get('source_camid', camid),
                    part=number,
                    part_row=row)
                records.append(info)
            first_pid = max((info['pid'] for info in records), default=-1) + 1
            first_camid = max((info['camid'] for info in records), default=-1) + 1
        return records

    def identity_space(self) -> str:
        """The identities of every part, in their order."""
        return f'{type(self).__name__} [{"; ".join(part.metainfo["identities"] for part in self.datasets)}]'

    def _number_classes(self, records: list[dict]) -> None:
        # An identity whose part gave it no class (num_labeled_ids) gets none here.
        pids = sorted({record['pid'] for record in records if record['gt_label'] >= 0})
        if self.num_labeled_ids is not None:
            pids = sorted(self._draw_pids(pids, self.num_labeled_ids, 'num_labeled_ids'))
        label_of = {pid: label for label, pid in enumerate(pids)}
        for record in records:
            record['gt_label'] = label_of.get(record['pid'], -1)
        self._metainfo['num_classes'] = len(pids)
        self._metainfo['identities'] = f'{self.identity_space()}: {zlib.crc32(repr(pids).encode()):08x}'

    def _number_domains(self, parts: list[list[dict]]) -> dict[tuple[int, int], int]:
        """New domain of each pair of part and domain in it; fills ``domain_names``."""
        pairs = [(number, domain) for number, infos in enumerate(parts)
                 for domain in sorted({info['domain'] for info in infos})]
        differ = len({domain for _, domain in pairs}) == len(pairs)
        numbers = {pair: pair[1] if differ else place for place, pair in enumerate(pairs)}
        self.domain_names = {new: _domain_name(self.datasets[part], domain)
                             for (part, domain), new in numbers.items()}
        return numbers

    def _refuse_shared_images(self, parts: list[list[dict]]) -> None:
        owner: dict[str, int] = {}
        for number, infos in enumerate(parts):
            for path in {_real(info['img_path']) for info in infos}:
                first = owner.setdefault(path, number)
                if first != number:
                    raise ValueError(
                        f'MergedReIDDataset: parts {first} ({self.datasets[first]._title()}) and {number} '
                        f'({self.datasets[number]._title()}) both hold the image "{path}". Its person would be two '
                        'classes; leave one of the parts out.')

    # ---- reading -----------------------------------------------------------------------------------------------

    def prepare_data(self, idx: int) -> Any:
        """Apply the pipeline to a record, with its pixels under ``img`` if its part holds them."""
        info = self.get_data_info(idx)
        image = self._pixels(idx, info)
        if image is not None:
            info['img'] = image
        return self._pipeline_of(info)(info)

    def get_image(self, idx: int) -> np.ndarray | None:
        """Pixels of a row that need no file: cached here, or held by its part."""
        return self._pixels(idx, self.get_data_info(idx))

    def load_image(self, info: dict) -> np.ndarray:
        """Pixels of a record; fills the cache."""
        part = self.datasets[info['part']]
        image = part.get_image(info['part_row'])
        return part.load_image(part.get_data_info(info['part_row'])) if image is None else image

    def _pixels(self, idx: int, info: dict) -> np.ndarray | None:
        cached = super().get_image(idx)
        return self.datasets[info['part']].get_image(info['part_row']) if cached is None else cached

    def _pipeline_of(self, info: dict) -> Callable:
        part = self.datasets[info['part']]
        if self._has_pipeline:
            return self.pipeline
        if isinstance(part, MergedReIDDataset):
            return part._pipeline_of(part.get_data_info(info['part_row']))
        return part.pipeline

    def _copy_without_annotation(self, memo: dict | None = None) -> 'MergedReIDDataset':
        memo = {} if memo is None else memo
        memo[id(self.datasets)] = self.datasets  # a subset shares the parts and the images they hold
        return super()._copy_without_annotation(memo)

    # ---- reporting ---------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """The sizes of the whole, and a line for each part."""
        lines = [super().summary()]
        for part in self.datasets:
            first, *rest = part.summary().split('\n')
            lines += [f'  - {first}', *(f'  {line}' for line in rest)]
        return '\n'.join(lines)

    def _title(self) -> str:
        return f'{type(self).__name__} of {len(self.datasets)}'


@lru_cache(maxsize=65536)
def _real_folder(folder: str) -> str:
    return osp.realpath(folder)


def _real(path: str) -> str:
    """One spelling for each file, also through links and from another folder."""
    if '://' in path:  # drawn by a program
        return path
    folder, name = osp.split(path)
    return osp.join(_real_folder(folder), name)


def _build_parts(datasets: Sequence[dict | ReIDDataset]) -> list[ReIDDataset]:
    if not isinstance(datasets, (list, tuple)) or not datasets:
        raise ValueError('MergedReIDDataset: datasets must be a list of at least one config or dataset, '
                         f'got {datasets!r}')
    scope = 'mmreid' if DefaultScope.get_current_instance() is None else None
    parts = []
    for number, part in enumerate(datasets):
        if isinstance(part, dict):
            with DefaultScope.overwrite_default_scope(scope):  # so that it is built without a runner, too
                part = DATASETS.build(dict(dict(lazy_init=True), **part))
        if not isinstance(part, ReIDDataset):
            raise TypeError(f'MergedReIDDataset: part {number} must be a config or a ReIDDataset, '
                            f'got {type(part).__name__}')
        if part.split != 'train':
            raise ValueError(f'MergedReIDDataset: part {number} ({part._title()}) has split={part.split!r}, only '
                             'training splits can be merged. Evaluate on each dataset on its own.')
        parts.append(part)
    return parts


def _domain_name(part: ReIDDataset, domain: int) -> str:
    return getattr(part, 'domain_names', {}).get(domain, part._title())
