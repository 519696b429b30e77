"""Evaluation: protocols, ranking and metrics."""

from .functional import PROTOCOLS, L2Normalize, Protocol, evaluate_distances, evaluate_ranking, get_protocol
from .metrics import FeatureMetric, ReIDMetric

__all__ = [
    'PROTOCOLS', 'FeatureMetric', 'L2Normalize', 'Protocol', 'ReIDMetric', 'evaluate_distances', 'evaluate_ranking',
    'get_protocol'
]
