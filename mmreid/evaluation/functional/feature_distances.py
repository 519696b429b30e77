"""Distances between query and gallery features, computed block by block where they lie."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Union

import numpy as np
import torch

from mmreid.utils.distance import MIN_NORM, check_metric

Array = Union[np.ndarray, torch.Tensor]

#: How many rows an error message names.
MAX_NAMED_ROWS = 10


class FeatureDistances:
    r"""Blocks of values that order the gallery of a query as its distances do.

    A ranking needs no more than the order, so what is constant for a query or monotone is left out:

    * ``euclidean`` and ``sqeuclidean`` compare :math:`\lVert g \rVert^2 - 2 q \cdot g`;
    * ``cosine`` compares :math:`- q \cdot g / \lVert g \rVert`.

    In particular no root is taken: it would tie distances that differ in their last bit only. Gallery rows that are
    equal bit by bit get equal values, wherever they stand, which a matrix product alone does not promise.

    Features on a CUDA device are multiplied there, in full float32; all others by numpy, whose OpenBLAS is as fast as
    or faster than torch's MKL. Nothing but one block and one chunk of queries is held in addition to the features.

    Args:
        query_feats (np.ndarray | torch.Tensor): Features of shape ``(Q, C)``.
        gallery_feats (np.ndarray | torch.Tensor): Features of shape ``(G, C)`` of the same type.
        metric (str): ``'euclidean'``, ``'sqeuclidean'`` or ``'cosine'``.

    Raises:
        ValueError: If the metric is unknown, shapes or types do not fit, or a feature is not finite.
    """

    def __init__(self, query_feats: Array, gallery_feats: Array, metric: str) -> None:
        self.metric = check_metric(metric)
        self.query, self.gallery = _same_kind(_matrix(query_feats, 'query_feats'),
                                              _matrix(gallery_feats, 'gallery_feats'))
        _square_norms(self.query, 'query_feats')
        norms = _square_norms(self.gallery, 'gallery_feats')
        self._norms = norms if metric != 'cosine' else 1 / (norms**0.5).clip(MIN_NORM, None)
        self._repeated, self._first = repeated_rows(self.gallery)
        self._buffer = self.query[:0]

    @property
    def itemsize(self) -> int:
        """Bytes of one distance."""
        return self.query.itemsize

    @property
    def on_cuda(self) -> bool:
        """Whether the blocks are tensors on a CUDA device."""
        return isinstance(self.query, torch.Tensor)

    def __call__(self, start: int, stop: int) -> Array:
        """Values of the queries ``start`` to ``stop``, shape ``(stop - start, G)``, in a buffer that is used again."""
        if len(self._buffer) < stop - start:
            shape = (stop - start, len(self.gallery))
            self._buffer = self.query.new_empty(shape) if self.on_cuda else np.empty(shape, self.query.dtype)
        block = self._buffer[:stop - start]
        query = self.query[start:stop] * (-1 if self.metric == 'cosine' else -2)
        if self.on_cuda:
            with full_float32_matmul():
                torch.matmul(query, self.gallery.T, out=block)
        else:
            np.matmul(query, self.gallery.T, out=block)
        if self.metric == 'cosine':
            block *= self._norms
        else:
            block += self._norms
        if len(self._repeated):
            block[:, self._repeated] = block[:, self._first]
        return block


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


def named_rows(bad: np.ndarray) -> str:
    """The indices of the true entries of a mask, as text for a message."""
    rows = np.flatnonzero(bad)
    more = ', ...' if len(rows) > MAX_NAMED_ROWS else ''
    return f'{len(rows)} rows: {", ".join(map(str, rows[:MAX_NAMED_ROWS]))}{more}'


def as_float(values: Any) -> Array:
    """Detach, move off other accelerators than CUDA, and widen half precision and integers."""
    if isinstance(values, torch.Tensor):
        values = values.detach()
        if values.dtype in (torch.float16, torch.bfloat16):
            values = values.float()
        return values if values.is_cuda else as_float(values.cpu().numpy())
    values = np.asarray(values)
    if values.dtype.kind not in 'fiu':
        raise ValueError(f'features and distances must be real numbers, got type {values.dtype}')
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)


def _matrix(feats: Any, name: str) -> Array:
    feats = as_float(feats)
    if feats.ndim != 2 or 0 in feats.shape:
        raise ValueError(f'{name} must have shape (rows, channels), none of them 0, got {tuple(feats.shape)}')
    if isinstance(feats, np.ndarray) and not (feats.flags.c_contiguous or feats.flags.f_contiguous):
        return np.ascontiguousarray(feats)
    return feats


def _same_kind(query: Array, gallery: Array) -> tuple[Array, Array]:
    """Bring both to one device, and check that they can be multiplied."""
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


def _square_norms(feats: Array, name: str) -> Array:
    if isinstance(feats, torch.Tensor):
        # Sums of squares, exact for small integers, which the square of a rounded norm is not.
        norms = torch.cat([rows.square().sum(1) for rows in feats.split(4096)])
        finite = norms.isfinite().cpu().numpy()
    else:
        with np.errstate(over='ignore', invalid='ignore'):
            norms = np.einsum('ij,ij->i', feats, feats)
        finite = np.isfinite(norms)
    if not finite.all():
        raise ValueError(f'{name} has NaN, infinite or too large values (their squares overflow) '
                         f'in {named_rows(~finite)}')
    return norms
