"""Identities and cameras of queries and gallery."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
import torch

from .protocols import PROTOCOLS, Protocol

Array = Union[np.ndarray, torch.Tensor]


@dataclass(frozen=True)
class Labels:
    """Identities and cameras of queries and gallery, integer arrays or tensors of one kind.

    Unknown cameras (``None`` in :func:`make_labels`) are numbered so that no query shares one with the gallery.
    """

    query_pids: Array
    gallery_pids: Array
    query_camids: Array
    gallery_camids: Array

    def rows(self, start: int, stop: int) -> 'Labels':
        """The same with the queries ``start`` to ``stop`` only."""
        return Labels(self.query_pids[start:stop], self.gallery_pids, self.query_camids[start:stop],
                      self.gallery_camids)

    def to_torch(self, device: torch.device) -> 'Labels':
        """The same as tensors on a device."""
        arrays = (self.query_pids, self.gallery_pids, self.query_camids, self.gallery_camids)
        return Labels(*(torch.from_numpy(array).to(device) for array in arrays))


def make_labels(query_pids: Any, gallery_pids: Any, query_camids: Optional[Any], gallery_camids: Optional[Any],
                protocols: Sequence[Protocol]) -> Labels:
    """Check the labels of an evaluation and bring them into the narrowest type.

    Raises:
        ValueError: If they are not integers of shape ``(rows,)``, or cameras are missing where a protocol needs them.
    """
    query_pids, gallery_pids = _integers(query_pids, 'query_pids'), _integers(gallery_pids, 'gallery_pids')
    if query_camids is None or gallery_camids is None:
        needing = [protocol.name for protocol in protocols if protocol.needs_cameras]
        if needing:
            free = ', '.join(row.name for row in PROTOCOLS.values() if not row.needs_cameras)
            missing = ' and '.join(name for name, camids in (('query_camids', query_camids),
                                                             ('gallery_camids', gallery_camids)) if camids is None)
            raise ValueError(f'the protocol {", ".join(needing)} needs cameras, but {missing} is missing; '
                             f'without cameras use the protocol: {free}')
        query_camids, gallery_camids = np.zeros_like(query_pids), np.ones_like(gallery_pids)
    return Labels(query_pids, gallery_pids, _integers(query_camids, 'query_camids'),
                  _integers(gallery_camids, 'gallery_camids'))


def check_lengths(labels: Labels, num_queries: int, num_gallery: int, source: str) -> None:
    """Compare the numbers of labels with those of features.

    Raises:
        ValueError: If they differ.
    """
    for split, expected in (('query', num_queries), ('gallery', num_gallery)):
        for kind in ('pids', 'camids'):
            actual = len(getattr(labels, f'{split}_{kind}'))
            if actual != expected:
                raise ValueError(f'{split}_{kind} must have {expected} rows as {source}, got {actual}')


def _integers(values: Any, name: str) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in 'iu':
        raise ValueError(f'{name} must be integers of shape (rows,) with at least one row, '
                         f'got {values.dtype} of shape {values.shape}')
    if values.dtype.kind == 'u' and values.max() > np.iinfo(np.int64).max:
        raise ValueError(f'{name} must fit 64 bits with a sign, got {values.max()}')
    # Narrow integers compare faster; 64 bits are kept where they are needed.
    narrow = np.iinfo(np.int32)
    fits = narrow.min <= values.min() and values.max() <= narrow.max
    return values.astype(np.int32 if fits else np.int64)
