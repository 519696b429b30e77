"""Feature matrices that come from outside: checked, of one kind, and multiplied where they lie."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Union

import numpy as np
import torch

Array = Union[np.ndarray, torch.Tensor]

#: How many rows an error message names.
MAX_NAMED_ROWS = 10
#: Rows that a pass over all features reads at a time, so that nothing as large as the features is made.
ROWS_AT_A_TIME = 4096


def named_rows(bad: np.ndarray, first: int = 0) -> str:
    """The numbers of the true entries of a mask whose first entry is number ``first``, as text for a message."""
    rows = np.flatnonzero(bad) + first
    more = ', ...' if len(rows) > MAX_NAMED_ROWS else ''
    return f'{len(rows)} rows: {", ".join(map(str, rows[:MAX_NAMED_ROWS]))}{more}'


def as_float(values: Any) -> Array:
    """Detach, move off other accelerators than CUDA, and widen half precision and integers."""
    if isinstance(values, torch.Tensor):
        values = values.detach()
        if values.is_complex() or values.dtype == torch.bool:
            raise ValueError(f'features and distances must be real numbers, got type {values.dtype}')
        if values.dtype not in (torch.float32, torch.float64):
            # As numpy widens them: 32 and 64 bits of an integer need a double.
            wide = values.dtype in (torch.int32, torch.int64)
            values = values.to(torch.float64 if wide else torch.float32)
        return values if values.is_cuda else as_float(values.cpu().numpy())
    values = np.asanyarray(values)  # a memory map stays one
    if values.dtype.kind not in 'fiu':
        raise ValueError(f'features and distances must be real numbers, got type {values.dtype}')
    dtype = np.float32 if values.dtype.kind == 'f' and values.itemsize <= 4 else \
        np.float64 if values.dtype.kind == 'f' else np.result_type(values.dtype, np.float32)
    return values.astype(dtype, copy=False)


def as_tensor(values: Any) -> torch.Tensor:
    """An array as a tensor that shares its memory where it can, also where it may not be written (a memory map)."""
    if isinstance(values, torch.Tensor):
        return values
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)
        return torch.from_numpy(np.ascontiguousarray(values))


def as_matrix(feats: Any, name: str) -> Array:
    """Features as a float matrix.

    Raises:
        ValueError: If they are not a matrix of real numbers with at least one row and one column.
    """
    feats = as_float(feats)
    if feats.ndim != 2 or 0 in feats.shape:
        raise ValueError(f'{name} must have shape (rows, channels), none of them 0, got {tuple(feats.shape)}')
    if isinstance(feats, np.ndarray) and not (feats.flags.c_contiguous or feats.flags.f_contiguous):
        return np.ascontiguousarray(feats)
    return feats


def same_kind(query: Array, gallery: Array) -> tuple[Array, Array]:
    """Bring both to one device.

    Raises:
        ValueError: If their numbers of channels or their types differ.
    """
    if query.shape[1] != gallery.shape[1]:
        raise ValueError('query_feats and gallery_feats must have the same number of channels, '
                         f'got {query.shape[1]} and {gallery.shape[1]}')
    types = [str(feats.dtype).removeprefix('torch.') for feats in (query, gallery)]
    if types[0] != types[1]:
        raise ValueError(f'query_feats and gallery_feats must have the same type, got {types[0]} and {types[1]}')
    devices = [feats.device for feats in (query, gallery) if isinstance(feats, torch.Tensor)]
    if devices:
        return torch.as_tensor(query, device=devices[0]), torch.as_tensor(gallery, device=devices[0])
    return query, gallery


def square_norms(feats: Array, name: str) -> Array:
    """Sums of squares of the rows, exact for small integers, which the square of a rounded norm is not.

    Raises:
        ValueError: If a row has NaN or infinite values or its squares overflow; the first such rows are named.
    """
    if isinstance(feats, torch.Tensor):
        norms = torch.cat([rows.square().sum(1) for rows in feats.split(ROWS_AT_A_TIME)])
        finite = norms.isfinite().cpu().numpy()
    else:
        with np.errstate(over='ignore', invalid='ignore'):
            norms = np.einsum('ij,ij->i', feats, feats)
        finite = np.isfinite(norms)
    if not finite.all():
        raise ValueError(f'{name} has NaN, infinite or too large values (their squares overflow) '
                         f'in {named_rows(~finite)}')
    return norms


def repeated_rows(feats: Array) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are equal, bit by bit, to an earlier row, and the first row that each of them repeats."""
    # Candidates share a checksum of their bits, which does not depend on the order of the sum; a digest decides.
    if isinstance(feats, torch.Tensor):
        bits = {4: torch.int32, 8: torch.int64}[feats.itemsize]
        checksums = feats.view(bits).sum(1).cpu().numpy()
    else:
        checksums = np.bitwise_xor.reduce(feats.view(f'u{feats.itemsize}'), axis=1)
    _, inverse, counts = np.unique(checksums, return_inverse=True, return_counts=True)
    first, pairs = {}, []
    for row in np.flatnonzero(counts[inverse] > 1).tolist():
        values = feats[row].cpu().numpy() if isinstance(feats, torch.Tensor) else feats[row]
        original = first.setdefault(hashlib.blake2b(np.ascontiguousarray(values)).digest(), row)
        if original != row:
            pairs.append((row, original))
    repeated, original = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return repeated, original


@contextmanager
def full_float32_matmul() -> Iterator[None]:
    """Switch TF32 products on CUDA off for a while, and back to what they were."""
    settings = torch.backends.cuda.matmul
    name, exact = ('fp32_precision', 'ieee') if hasattr(settings, 'fp32_precision') else ('allow_tf32', False)
    before = getattr(settings, name)
    setattr(settings, name, exact)
    try:
        yield
    finally:
        setattr(settings, name, before)


def product(x: Array, y: Array, out: Array) -> Array:
    """``x @ y.T`` into ``out``, in full precision: on the CPU by numpy, whose OpenBLAS is as fast as torch's or faster.

    Shape:
        x ``(N, C)``, y ``(M, C)``, out ``(N, M)``, all arrays or all tensors of one type and device.
    """
    if isinstance(x, np.ndarray):
        return np.matmul(x, y.T, out=out)
    if x.is_cuda:
        with full_float32_matmul():
            return torch.matmul(x, y.T, out=out)
    np.matmul(x.numpy(), y.numpy().T, out=out.numpy())
    return out
