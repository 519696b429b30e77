"""Necks: from feature maps to named embeddings."""

from .autoencoder_neck import AutoencoderNeck
from .auxiliary_branch import AuxiliaryBranch
from .bn_neck import BNNeck
from .cell_chain import CellChain
from .composite_neck import CompositeNeck
from .dtl_neck import DTLNeck
from .embae_neck import EmbAENeck
from .mgn_ptl_neck import MGNPTLNeck
from .part_pooling_neck import PartPoolingNeck
from .ptl_neck import PTLNeck
from .reduction_neck import ReductionNeck

__all__ = [
    'AutoencoderNeck', 'AuxiliaryBranch', 'BNNeck', 'CellChain', 'CompositeNeck', 'DTLNeck', 'EmbAENeck', 'MGNPTLNeck',
    'PTLNeck', 'PartPoolingNeck', 'ReductionNeck'
]
