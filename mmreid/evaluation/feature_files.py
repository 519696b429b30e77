"""Features on disk: what ``tools/test.py --dump`` writes, and what comes from elsewhere."""

import csv
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch

from mmreid.utils.features import as_float, as_tensor, named_rows

from .retrieval_data import SPLITS, Features

FORMAT = ('arrays <split>_feats (N, C) float and <split>_pids (N,) integer, <split>_camids (N,) integer where cameras '
          f'are known, for the splits {", ".join(SPLITS)}')
#: Where no identity is needed.
IMAGE_FORMAT = ('arrays <split>_feats (N, C) float and, where the files are known, <split>_paths (N,) text, for the '
                f'splits {", ".join(SPLITS)}')

PathLike = Union[str, Path]


class FeatureFileError(ValueError):
    """A file of features that cannot be used; the message says what was expected."""


def write_features(path: PathLike, splits: dict[str, Features], paths: Optional[Mapping[int, str]] = None) -> None:
    """Write features, identities, cameras and row numbers of some splits to a file ``*.npz``.

    Args:
        path (str | Path): The file.
        splits (dict[str, Features]): Arrays are ``<split>_feats`` ``(N, C)``, ``<split>_pids``, ``<split>_camids``
            (where cameras are known) and ``<split>_sample_idx`` ``(N,)``, the rows of the data set.
        paths (Mapping[int, str], optional): File of each row of the data set; adds ``<split>_paths`` ``(N,)``, text.
            Defaults to None.
    """
    arrays = {f'{name}_{key}': value.cpu().numpy() for name, features in splits.items()
              for key, value in vars(features).items() if value is not None}
    for name, features in splits.items() if paths else ():
        arrays[f'{name}_paths'] = np.array([paths.get(row, '') for row in features.sample_idx.tolist()], dtype=np.str_)
    write_arrays(path, arrays)


def write_arrays(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file ``*.npz``; an earlier file stays whole until the new one is."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp.npz')
    try:
        np.savez(temporary, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_image_features(path: PathLike) -> dict[str, tuple[np.ndarray, Optional[list[str]]]]:
    """Read features and the files of their images, whoever is seen on them.

    Args:
        path (str | Path): ``*.npz`` with the arrays ``<split>_feats`` ``(N, C)`` and, in files of this version,
            ``<split>_paths`` ``(N,)``: what ``tools/infer.py`` and ``tools/test.py --dump`` write.

    Returns:
        dict: By split the features and the paths, None where the file does not have them.

    Raises:
        FileNotFoundError: If the file is missing.
        FeatureFileError: If it lacks features, or shapes or types do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file of features {path}')
    arrays = _read_arrays(path, ('feats', 'paths'))
    found = {}
    for split in SPLITS:
        feats, paths = arrays.get(f'{split}_feats'), arrays.get(f'{split}_paths')
        if feats is None:
            continue
        if feats.ndim != 2 or 0 in feats.shape or feats.dtype.kind != 'f':
            raise FeatureFileError(f'{path}, {split}: features must be real numbers of shape (N, C) with at least one '
                                   f'row, got {feats.dtype} of shape {feats.shape}')
        if paths is not None and (paths.shape != (len(feats), ) or paths.dtype.kind != 'U'):
            raise FeatureFileError(f'{path}, {split}: paths must be {len(feats)} texts, got {paths.dtype} of shape '
                                   f'{paths.shape}')
        found[split] = feats, None if paths is None else paths.tolist()
    if not found:
        raise FeatureFileError(f'{path} has no features; needed: {IMAGE_FORMAT}; found: '
                               f'{", ".join(sorted(arrays)) or "nothing of these"}')
    return found


def read_features(path: PathLike, labels: Optional[PathLike] = None) -> dict[str, Features]:
    """Read the features of each split.

    Args:
        path (str | Path): ``*.npz`` with the arrays ``<split>_feats`` ``(N, C)``, ``<split>_pids`` ``(N,)`` and, where
            cameras are known, ``<split>_camids`` ``(N,)`` (further arrays, such as ``<split>_paths``, are not read; see
            :func:`read_image_features`); or ``*.npy`` with one matrix ``(N, C)``, which is mapped and
            not read into memory if it is float32 or float64 in C order (other types are converted).
        labels (str | Path, optional): For a matrix a CSV file with a header and a line for each of its rows: columns
            ``split``, ``pid`` and, where cameras are known, ``camid``. Rows of a split that stand together are not
            copied.

    Returns:
        dict[str, Features]: By split.

    Raises:
        FileNotFoundError: If a file is missing.
        FeatureFileError: If a file lacks something, or lengths or types do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file of features {path}')
    if path.suffix == '.npz':
        if labels is not None:
            raise FeatureFileError(f'{path} holds its labels itself; a CSV file belongs to a matrix *.npy')
        return _read_npz(path)
    if path.suffix != '.npy':
        raise FeatureFileError(f'features must come as *.npz or as *.npy with a CSV file of labels, got {path}')
    if labels is None:
        raise FeatureFileError(f'{path} holds a matrix alone; a CSV file with the columns split, pid, camid and a line '
                               'for each row must come with it')
    try:
        matrix = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError) as error:
        raise FeatureFileError(f'{path} cannot be read as a matrix: {error}') from error
    return _read_matrix(matrix, path, Path(labels))


def _read_arrays(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of an archive whose names end so."""
    try:
        if not is_zipfile(path):
            raise ValueError('it is no archive of arrays; np.savez(file, query_feats=..., ...) writes one')
        with np.load(path, allow_pickle=False) as file:
            return {name: _array(file, name) for name in file.files if name.endswith(tuple(f'_{key}' for key in keys))}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise FeatureFileError(f'{path} cannot be read: {error}') from error


def _read_npz(path: Path) -> dict[str, Features]:
    keys = ('feats', 'pids', 'camids', 'sample_idx')
    arrays, splits = _read_arrays(path, keys), {}
    for split in SPLITS:
        found = {key: arrays.get(f'{split}_{key}') for key in keys}
        if found['feats'] is None and found['pids'] is None:
            continue
        missing = [f'{split}_{key}' for key in ('feats', 'pids') if found[key] is None]
        if missing:
            raise FeatureFileError(f'{path} lacks {", ".join(missing)}; needed: {FORMAT}')
        splits[split] = _features(found['feats'], found['pids'], found['camids'], f'{path}, {split}',
                                  found['sample_idx'])
    if not splits:
        raise FeatureFileError(f'{path} has no features; needed: {FORMAT}; '
                               f'found: {", ".join(sorted(arrays)) or "nothing"}')
    return splits


def _array(file: Any, name: str) -> np.ndarray:
    try:
        return file[name]
    except ValueError:  # numpy's own message would advise to run code from the file
        raise ValueError(f'{name} holds Python objects; save numbers') from None


def _read_matrix(matrix: np.ndarray, path: Path, labels: Path) -> dict[str, Features]:
    if not labels.is_file():
        raise FileNotFoundError(f'there is no file of labels {labels}')
    columns, rows = _read_table(labels)
    if matrix.ndim != 2 or len(rows) != len(matrix):
        raise FeatureFileError(f'{labels} has {len(rows)} lines below its header, {path} has shape {matrix.shape}: a '
                               'line is needed for each row')
    names = np.array([(row['split'] or '').strip() for row in rows])
    unknown = sorted(set(names.tolist()) - set(SPLITS))
    if unknown:
        raise FeatureFileError(f'{labels} has the split {unknown[0]!r}; known: {", ".join(SPLITS)}')
    pids = _column(rows, 'pid', labels)
    camids = _column(rows, 'camid', labels) if 'camid' in columns else None
    splits = {}
    for split in SPLITS:
        chosen = np.flatnonzero(names == split)
        if len(chosen):
            together = chosen[-1] - chosen[0] + 1 == len(chosen)
            part = slice(chosen[0], chosen[-1] + 1) if together else chosen
            splits[split] = _features(matrix[part], pids[part], None if camids is None else camids[part],
                                      f'{path}, {split}', chosen)
    return splits


def _read_table(labels: Path) -> tuple[list[str], list[dict]]:
    """Header and rows of a table whose columns are separated by commas, semicolons or tabs."""
    try:
        # Spreadsheets write a byte-order mark.
        lines = labels.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError:
        raise FeatureFileError(f'{labels} is not UTF-8 text; save it as CSV in UTF-8') from None
    header = lines[0] if lines else ''
    separator = max(',;\t', key=header.count)
    columns = [name.strip().lower() for name in header.split(separator)]
    if not {'split', 'pid'} <= set(columns) or len(set(columns)) != len(columns):
        raise FeatureFileError(f'{labels} needs a header with split, pid and, where known, camid, each once; '
                               f'found: {header or "nothing"}')
    try:
        rows = list(csv.DictReader(lines[1:], fieldnames=columns, delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise FeatureFileError(f'{labels} cannot be read as a table: {error}') from error
    return columns, rows


def _column(rows: list[dict], name: str, labels: Path) -> np.ndarray:
    values = []
    for number, row in enumerate(rows, 2):
        try:
            values.append(np.int64(int(row[name])))
        except (TypeError, ValueError, OverflowError):
            raise FeatureFileError(f'{labels}, line {number}: {name} must be an integer of at most 64 bits, got '
                                   f'{"nothing" if row[name] is None else repr(row[name])}') from None
    return np.array(values, dtype=np.int64)


def _whole(values: np.ndarray) -> bool:
    """Whether these are integers, perhaps written as floats."""
    return values.dtype.kind in 'iu' or (values.dtype.kind == 'f' and bool((values == np.floor(values)).all()) and
                                         bool((np.abs(values) < 2**53).all()))


def _features(feats: Any, pids: Any, camids: Any, name: str, sample_idx: Any) -> Features:
    if feats.ndim != 2 or 0 in feats.shape or feats.dtype.kind not in 'fiu':
        raise FeatureFileError(f'{name}: features must be real numbers of shape (N, C) with at least one row, got '
                               f'{feats.dtype} of shape {feats.shape}')
    for key, values in (('pids', pids), ('camids', camids)):
        if values is not None and (values.shape != (len(feats), ) or not _whole(values)):
            advice = '; np.unique(names of all splits together, return_inverse=True) numbers names' \
                if values.dtype.kind in 'SU' else ''
            raise FeatureFileError(f'{name}: {key} must be {len(feats)} integers, got {values.dtype} of shape '
                                   f'{values.shape}{advice}')
    feats = as_float(feats)
    # Before anything is computed with them; row by row, so that a mapped file stays on disk.
    with np.errstate(over='ignore', invalid='ignore'):
        finite = np.isfinite(np.einsum('ij->i', feats))
    if not finite.all():
        raise FeatureFileError(f'{name}: NaN or infinite features in {named_rows(~finite)}')
    integers = [None if values is None else torch.from_numpy(np.asarray(values, dtype=np.int64))
                for values in (pids, camids, np.arange(len(feats)) if sample_idx is None else sample_idx)]
    return Features(as_tensor(feats), *integers)
