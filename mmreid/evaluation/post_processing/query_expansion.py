"""Query expansion."""

from dataclasses import replace

from torch.nn import functional as F

from mmreid.evaluation.retrieval_data import RetrievalData
from mmreid.registry import TASK_UTILS
from mmreid.utils.nearest import nearest_neighbours

from .base import PostProcessor


@TASK_UTILS.register_module()
class QueryExpansion(PostProcessor):
    r"""Replace each query by the weighted mean of itself and its nearest gallery images.

    .. math:: q' = q + \sum_{g \in N_k(q)} \max(0, q \cdot g)^\alpha \, g

    on features of unit length, and :math:`q'` is scaled to unit length again. ``alpha=0`` is average query expansion
    (Chum et al., *Total Recall*, ICCV 2007), ``alpha=3`` that of Radenovic et al., *Fine-tuning CNN Image Retrieval
    with No Human Annotation*, TPAMI 2018. The whole gallery takes part: which images a protocol drops from the ranking
    is not known to a system in use.

    Args:
        k (int): Number of gallery images. Defaults to 5.
        alpha (float): Exponent of the weights. Defaults to 3.0.
        backend (str): See :func:`mmreid.utils.nearest.nearest_neighbours`. Defaults to ``'auto'``.

    Raises:
        ValueError: If k is larger than the gallery or a setting is out of its range.
    """

    def __init__(self, k: int = 5, alpha: float = 3.0, backend: str = 'auto') -> None:
        if k < 1 or alpha < 0:
            raise ValueError(f'k must be at least 1 and alpha not negative, got {k} and {alpha}')
        self.k, self.alpha, self.backend = k, alpha, backend

    def __call__(self, data: RetrievalData) -> RetrievalData:
        """Normalise everything and expand the queries."""
        self._need_feats(data)
        if self.k > len(data.gallery):
            raise ValueError(f'query expansion over k={self.k} images needs as many in the gallery, '
                             f'got {len(data.gallery)}')
        data = data.map_feats(lambda feats: F.normalize(feats, dim=1))
        query, gallery = data.query.feats, data.gallery.feats
        # The nearest of unit vectors have the largest cosine; a feature of zeros, which has none, is left out.
        rows = (gallery != 0).any(1).nonzero()[:, 0]
        if self.k > len(rows):
            raise ValueError(f'query expansion over k={self.k} images needs as many in the gallery with a feature that '
                             f'is not zero, got {len(rows)}')
        near = rows[nearest_neighbours(query, gallery if len(rows) == len(gallery) else gallery[rows], self.k,
                                       self.backend).index]
        expanded = query.clone()
        for place in range(self.k):
            found = gallery[near[:, place]]
            expanded += (query * found).sum(1, keepdim=True).clamp(min=0)**self.alpha * found
        expanded[(query == 0).all(1)] = 0
        return replace(data, query=data.query.with_feats(F.normalize(expanded, dim=1)))

    def describe(self) -> str:
        """Name and settings."""
        return f'QueryExpansion(k={self.k}, alpha={self.alpha:g})'
