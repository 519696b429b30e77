"""Rounds of pseudo labels: extracting features of a pool, and keeping the record of the rounds."""

from .extraction import extract_pool
from .records import RoundRecords, is_saturated

__all__ = ['RoundRecords', 'extract_pool', 'is_saturated']
