"""Unit length."""

import torch
from torch.nn import functional as F

from mmreid.registry import TASK_UTILS

from .base import FeatureTransform


@TASK_UTILS.register_module()
class L2Normalize(FeatureTransform):
    """Scale every feature to unit length; a zero feature stays zero.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', metric='euclidean', post_processors=[dict(type='L2Normalize')])
    """

    def transform(self, feats: torch.Tensor) -> torch.Tensor:
        """Normalised copy."""
        return F.normalize(feats, dim=1)
