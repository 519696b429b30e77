"""Metrics that mmengine's evaluator runs."""

from .feature_metric import FeatureMetric, Features
from .reid_metric import ReIDMetric

__all__ = ['FeatureMetric', 'Features', 'ReIDMetric']
