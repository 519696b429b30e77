"""What happens to the features between extraction and ranking.

A post-processor is a callable ``(query_feats, gallery_feats) -> (query_feats, gallery_feats)`` on float32 tensors of
shape ``(N, C)``, registered in ``TASK_UTILS`` and listed in ``ReIDMetric(post_processors=[...])``.
"""

import torch
from torch.nn import functional as F

from mmreid.registry import TASK_UTILS


@TASK_UTILS.register_module()
class L2Normalize:
    """Scale every feature to unit length; a zero feature stays zero.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', metric='euclidean', post_processors=[dict(type='L2Normalize')])
    """

    def __call__(self, query_feats: torch.Tensor, gallery_feats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised copies of both."""
        return F.normalize(query_feats, dim=1), F.normalize(gallery_feats, dim=1)
