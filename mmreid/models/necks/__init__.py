"""Necks: from feature maps to named embeddings."""

from .bn_neck import BNNeck
from .cell_chain import CellChain
from .mgn_ptl_neck import MGNPTLNeck
from .part_pooling_neck import PartPoolingNeck
from .ptl_neck import PTLNeck
from .reduction_neck import ReductionNeck

__all__ = ['BNNeck', 'CellChain', 'MGNPTLNeck', 'PTLNeck', 'PartPoolingNeck', 'ReductionNeck']
