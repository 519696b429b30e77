"""Distances between query and gallery features, computed block by block where they lie."""

import numpy as np
import torch

from mmreid.utils.distance import MIN_NORM, check_metric
from mmreid.utils.features import Array, as_matrix, product, repeated_rows, same_kind, square_norms


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
        self.query, self.gallery = same_kind(as_matrix(query_feats, 'query_feats'),
                                             as_matrix(gallery_feats, 'gallery_feats'))
        square_norms(self.query, 'query_feats')
        norms = square_norms(self.gallery, 'gallery_feats')
        self._norms = norms if metric != 'cosine' else 1 / (norms**0.5).clip(MIN_NORM, None)
        self._repeated, self._first = repeated_rows(self.gallery)
        self._buffer = self.query[:0]

    @property
    def itemsize(self) -> int:
        """Bytes of one distance."""
        return self.query.itemsize

    @property
    def device(self) -> torch.device:
        """Where the blocks lie."""
        return self.query.device if self.on_cuda else torch.device('cpu')

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
        product(query, self.gallery, block)
        if self.metric == 'cosine':
            block *= self._norms
        else:
            block += self._norms
        if len(self._repeated):
            block[:, self._repeated] = block[:, self._first]
        return block
