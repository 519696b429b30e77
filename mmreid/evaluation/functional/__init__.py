"""Evaluation as functions: arrays in, numbers or arrays out."""

from .post_processing import L2Normalize
from .protocols import PROTOCOLS, Protocol, get_protocol
from .ranking import evaluate_distances, evaluate_ranking

__all__ = ['PROTOCOLS', 'L2Normalize', 'Protocol', 'evaluate_distances', 'evaluate_ranking', 'get_protocol']
