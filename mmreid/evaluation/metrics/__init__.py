"""Metrics that mmengine's evaluator runs."""

from .feature_dump import FeatureDump
from .feature_metric import FeatureMetric
from .reid_metric import ReIDMetric

__all__ = ['FeatureDump', 'FeatureMetric', 'ReIDMetric']
