"""Necks: from feature maps to named embeddings."""

from .auxiliary_branch import AuxiliaryBranch
from .bn_neck import BNNeck
from .cell_chain import CellChain
from .dtl_neck import DTLNeck
from .mgn_ptl_neck import MGNPTLNeck
from .part_pooling_neck import PartPoolingNeck
from .ptl_neck import PTLNeck
from .reduction_neck import ReductionNeck

__all__ = [
    'AuxiliaryBranch', 'BNNeck', 'CellChain', 'DTLNeck', 'MGNPTLNeck', 'PTLNeck', 'PartPoolingNeck', 'ReductionNeck'
]
