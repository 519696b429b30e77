"""Re-ranking with k-reciprocal encoding."""

from dataclasses import replace

from mmreid.evaluation.retrieval_data import RetrievalData
from mmreid.registry import TASK_UTILS
from mmreid.utils.k_reciprocal import KReciprocalDistances, check_settings

from .base import PostProcessor


@TASK_UTILS.register_module()
class KReciprocalReRanking(PostProcessor):
    """Rank by the distances of :func:`mmreid.evaluation.k_reciprocal_rerank` instead of those of the features.

    With ``metric='cosine'`` features are normalised first. All gallery images take part, junk included, as in the
    authors' evaluation of Market-1501; :class:`DropJunk` in front leaves it out.

    Args:
        k1 (int): Size of the neighbourhoods. Defaults to 20.
        k2 (int): Rows of the local query expansion. Defaults to 6.
        lambda_value (float): Weight of the original distance. Defaults to 0.3.
        variant (str): ``'original'`` or ``'squared-twice'``. Defaults to ``'original'``.
        backend (str): See :func:`mmreid.utils.nearest.self_neighbours`. Defaults to ``'builtin'``.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', post_processors=[dict(type='KReciprocalReRanking')])
    """

    replaces_features = True

    def __init__(self, k1: int = 20, k2: int = 6, lambda_value: float = 0.3, variant: str = 'original',
                 backend: str = 'builtin') -> None:
        check_settings(k1, k2, max(k1 + 1, k2), variant=variant)
        if not 0 <= lambda_value <= 1:
            raise ValueError(f'lambda_value must lie between 0 and 1, got {lambda_value}')
        self.k1, self.k2, self.lambda_value = k1, k2, lambda_value
        self.variant, self.backend = variant, backend

    def __call__(self, data: RetrievalData) -> RetrievalData:
        """Encode the neighbourhoods; distances are filled block by block while they are ranked."""
        self._need_feats(data)
        distances = KReciprocalDistances(data.query.feats, data.gallery.feats, self.k1, self.k2, self.lambda_value,
                                         metric=data.metric, variant=self.variant, backend=self.backend)
        return replace(data, distances=distances)

    def describe(self) -> str:
        """Name and settings."""
        variant = '' if self.variant == 'original' else f', {self.variant}'
        return f'KReciprocalReRanking(k1={self.k1}, k2={self.k2}, lambda={self.lambda_value:g}{variant})'
