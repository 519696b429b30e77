"""What an inferencer returns."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmreid.evaluation import FeatureFileError, read_image_features, write_arrays

from .images import Unreadable


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of images, a row each.

    ``np.asarray(features)`` is the matrix; ``features[mask_or_rows]`` are the features of some of the images.

    Args:
        feats (np.ndarray): ``(N, D)``; float32 from an inferencer. A memory map stays one.
        paths (Sequence[str], optional): File of each row, ``array:N`` for pixels. Defaults to None: ``row:0``,
            ``row:1`` and so on.
        unreadable (Sequence[Unreadable]): Files that were left out. Defaults to none.

    Raises:
        ValueError: If the features are no matrix, or there is not one path a row.
    """

    feats: np.ndarray
    paths: Optional[Sequence[str]] = None
    unreadable: Sequence[Unreadable] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.feats.ndim != 2 or 0 in self.feats.shape:
            raise ValueError(f'features must have shape (N, D), none of them 0, got {self.feats.shape}')
        paths = [f'row:{row}' for row in range(len(self.feats))] if self.paths is None else list(map(str, self.paths))
        if len(paths) != len(self.feats):
            raise ValueError(f'{len(self.feats)} features need as many paths, got {len(paths)}')
        object.__setattr__(self, 'paths', paths)

    def __len__(self) -> int:
        return len(self.feats)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        return np.array(self.feats, dtype=dtype) if copy else np.asarray(self.feats, dtype=dtype)

    def __getitem__(self, rows: Any) -> 'ImageFeatures':
        rows = np.arange(len(self))[rows]
        if rows.ndim != 1:
            raise IndexError('take several rows, for example features[5:6]; the vector of row 5 is features.feats[5]')
        return ImageFeatures(self.feats[rows], [self.paths[row] for row in rows])

    def save(self, path: Union[str, Path], split: str = 'gallery') -> None:
        """Write ``<split>_feats`` and ``<split>_paths`` to a file ``*.npz``."""
        write_arrays(path, {f'{split}_feats': self.feats, f'{split}_paths': np.array(self.paths)})

    @classmethod
    def load(cls, path: Union[str, Path], split: Optional[str] = None) -> 'ImageFeatures':
        """Read one split of a file ``*.npz``: of :meth:`save`, ``tools/infer.py`` or ``tools/test.py --dump``.

        Args:
            path (str | Path): The file.
            split (str, optional): ``'query'``, ``'gallery'``, ``'multi_query'`` or ``'train'``. Defaults to None: the
                only one that is there.

        Raises:
            FileNotFoundError: If the file is missing.
            FeatureFileError: If it has no such features, or several splits and none is named.
        """
        splits = read_image_features(path)
        if split is None and len(splits) > 1:
            raise FeatureFileError(f'{path} has features of {", ".join(splits)}: name the split')
        split = next(iter(splits)) if split is None else split
        if split not in splits:
            raise FeatureFileError(f'{path} has no {split}_feats; it has features of: {", ".join(splits)}')
        return cls(*splits[split])


@dataclass(frozen=True, eq=False)
class RankedLists:
    """For each query the nearest images of the gallery, the nearest first.

    Args:
        indices (np.ndarray): Rows of the gallery ``(Q, K)``, int64.
        distances (np.ndarray): Their distances ``(Q, K)``, ascending.
        query_paths (Sequence[str]): A name for each query.
        gallery_paths (Sequence[str]): A name for each image of the whole gallery.
        metric (str): Which distance it is.
    """

    indices: np.ndarray
    distances: np.ndarray
    query_paths: Sequence[str]
    gallery_paths: Sequence[str]
    metric: str = ''

    def __len__(self) -> int:
        return len(self.indices)

    def paths(self, query: int) -> list[str]:
        """Files of the ranked list of a query."""
        return [self.gallery_paths[row] for row in self.indices[query].tolist()]

    def write_csv(self, path: Union[str, Path]) -> None:
        """Write a line for each query and rank: ``query,rank,gallery,distance``; ranks begin at 1."""
        # Names of files need not be text in UTF-8.
        with open(path, 'w', newline='', encoding='utf-8', errors='surrogateescape') as file:
            writer = csv.writer(file)
            writer.writerow(('query', 'rank', 'gallery', 'distance'))
            for query, name in enumerate(self.query_paths):
                for rank, (found, distance) in enumerate(zip(self.paths(query), self.distances[query]), 1):
                    writer.writerow((name, rank, found, f'{distance:.6f}'))
