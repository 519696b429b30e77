"""Necks: from feature maps to named embeddings."""

from .bn_neck import BNNeck
from .ptl_neck import PTLNeck
from .reduction_neck import ReductionNeck

__all__ = ['BNNeck', 'PTLNeck', 'ReductionNeck']
