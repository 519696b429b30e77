"""Several images of a query's identity and camera as one query."""

from dataclasses import replace

import torch

from mmreid.evaluation.retrieval_data import Features, RetrievalData
from mmreid.registry import TASK_UTILS

from .base import PostProcessor

#: How many queries an error message names.
MAX_NAMED = 5


def pool_multi_query(query: Features, multi_query: Features, pool: str = 'mean') -> torch.Tensor:
    """Feature of each query from all multi-query images of its identity and camera.

    The multi-query evaluation of Zheng et al.: *Scalable Person Re-identification: A Benchmark*, ICCV 2015, section 5;
    PLA and DTL report it for Market-1501. The query image itself counts if it is among the multi-query images, as it
    is in Market-1501.

    Args:
        query (Features): Q queries.
        multi_query (Features): M images.
        pool (str): ``'mean'`` or ``'max'`` over the images. Defaults to ``'mean'``.

    Returns:
        torch.Tensor: Features of shape ``(Q, C)``.

    Raises:
        ValueError: If a query has no multi-query image, cameras are missing or ``pool`` is unknown.
    """
    if pool not in ('mean', 'max'):
        raise ValueError(f"pool must be 'mean' or 'max', got {pool!r}")
    if query.camids is None or multi_query.camids is None:
        raise ValueError('multi-query pooling joins images of one identity and camera, but the cameras are missing')
    keys = torch.cat([torch.stack([split.pids, split.camids], 1) for split in (query, multi_query)])
    groups, number = torch.unique(keys, dim=0, return_inverse=True)
    wanted, members = number[:len(query)], number[len(query):].to(multi_query.feats.device)
    counts = torch.bincount(members, minlength=len(groups)).cpu()
    empty = (counts[wanted] == 0).nonzero()[:, 0]
    if len(empty):
        named = ', '.join(f'identity {int(query.pids[i])} of camera {int(query.camids[i])}' for i in empty[:MAX_NAMED])
        raise ValueError(f'{len(empty)} of {len(query)} queries have no multi-query image of their identity and camera '
                         f'({named}{", ..." if len(empty) > MAX_NAMED else ""})')
    feats = multi_query.feats
    pooled = feats.new_zeros(len(groups), feats.shape[1])
    if pool == 'mean':
        pooled.index_add_(0, members, feats)
        pooled /= counts.clamp(min=1)[:, None].to(feats)
    else:
        pooled.scatter_reduce_(0, members[:, None].expand_as(feats), feats, 'amax', include_self=False)
    return pooled[wanted.to(feats.device)]


@TASK_UTILS.register_module()
class MultiQuery(PostProcessor):
    """Replace each query by its multi-query images; see :func:`pool_multi_query`.

    The test dataset must have them: ``Market1501(split='test', multi_query=True)``.

    Args:
        pool (str): ``'mean'`` or ``'max'``. Defaults to ``'mean'``.

    Raises:
        ValueError: If there are no multi-query images, or none for some query.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', post_processors=[dict(type='MultiQuery', pool='mean')])
    """

    def __init__(self, pool: str = 'mean') -> None:
        if pool not in ('mean', 'max'):
            raise ValueError(f"pool must be 'mean' or 'max', got {pool!r}")
        self.pool = pool

    def __call__(self, data: RetrievalData) -> RetrievalData:
        """Pool the queries; the multi-query images have served then."""
        self._need_feats(data)
        if data.multi_query is None:
            raise ValueError('MultiQuery needs images of split "multi_query" in the test dataset, and there are none: '
                             'for Market-1501 set test_dataloader.dataset.multi_query=True')
        pooled = pool_multi_query(data.query, data.multi_query, self.pool)
        return replace(data, query=data.query.with_feats(pooled), multi_query=None)

    def describe(self) -> str:
        """Name and pooling."""
        return f'MultiQuery({self.pool})'
