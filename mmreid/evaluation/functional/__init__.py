"""Evaluation as functions: arrays in, numbers or arrays out."""

from .labels import Labels, make_labels
from .protocols import PROTOCOLS, Draws, Protocol, get_protocol
from .ranking import evaluate_distances, evaluate_protocols, evaluate_ranking
from .scores import ProtocolResult

__all__ = [
    'PROTOCOLS', 'Draws', 'Labels', 'Protocol', 'ProtocolResult', 'evaluate_distances', 'evaluate_protocols',
    'evaluate_ranking', 'get_protocol', 'make_labels'
]
