"""Models: backbones, necks, heads, losses, layers and the embedders made of them."""

from .backbones import DenseNetTaps, DGDNet, GoogLeNet, MGNResNet, ResNetTaps, TapBackbone
from .data_preprocessor import ReIDDataPreprocessor
from .embedders import DistillationNet, EmbeddingNet
from .heads import ClassificationHead, HeadGroup, ReIDHead, TripletHead
from .layers import BConvCell, GlobalPool, latent_state_dict, load_latent_state_dict, reset_latent_states
from .losses import CrossEntropyLoss, GeneralizedBatchHardTripletLoss, TripletLoss
from .necks import (
    AuxiliaryBranch,
    BNNeck,
    CellChain,
    CompositeNeck,
    DTLNeck,
    MGNPTLNeck,
    PartPoolingNeck,
    PTLNeck,
    ReductionNeck,
)
from .tta import ReIDTTAModel

__all__ = [
    'AuxiliaryBranch', 'BConvCell', 'BNNeck', 'CellChain', 'ClassificationHead', 'CompositeNeck', 'CrossEntropyLoss',
    'DGDNet', 'DTLNeck', 'DenseNetTaps', 'EmbeddingNet', 'GeneralizedBatchHardTripletLoss', 'GlobalPool', 'GoogLeNet',
    'HeadGroup', 'MGNPTLNeck', 'MGNResNet', 'PTLNeck', 'PartPoolingNeck', 'ReIDDataPreprocessor', 'ReIDHead',
    'ReIDTTAModel', 'ReductionNeck', 'ResNetTaps', 'TapBackbone', 'TripletHead', 'TripletLoss', 'latent_state_dict',
    'load_latent_state_dict', 'reset_latent_states'
]
