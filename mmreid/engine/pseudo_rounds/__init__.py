"""Rounds of pseudo labels: extracting features of a pool, what begins anew, and the record of the rounds."""

from .extraction import extract_pool
from .fresh_start import FreshStart, bare_network, classifiers
from .original import OriginalWeights
from .records import RoundRecords, is_saturated

__all__ = [
    'FreshStart', 'OriginalWeights', 'RoundRecords', 'bare_network', 'classifiers', 'extract_pool', 'is_saturated'
]
