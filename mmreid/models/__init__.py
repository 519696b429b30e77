"""Models: backbones, necks, heads, losses, layers and the embedders made of them."""

from .backbones import DenseNetTaps, MGNResNet, ResNetTaps, TapBackbone
from .data_preprocessor import ReIDDataPreprocessor
from .embedders import DistillationNet, EmbeddingNet
from .heads import ClassificationHead, HeadGroup, ReIDHead, TripletHead
from .layers import BConvCell, GlobalPool, latent_state_dict, load_latent_state_dict, reset_latent_states
from .losses import CrossEntropyLoss, TripletLoss
from .necks import BNNeck, CellChain, MGNPTLNeck, PartPoolingNeck, PTLNeck, ReductionNeck
from .tta import ReIDTTAModel

__all__ = [
    'BConvCell', 'BNNeck', 'CellChain', 'ClassificationHead', 'CrossEntropyLoss', 'DenseNetTaps', 'EmbeddingNet',
    'GlobalPool', 'HeadGroup', 'MGNPTLNeck', 'MGNResNet', 'PTLNeck', 'PartPoolingNeck', 'ReIDDataPreprocessor',
    'ReIDHead', 'ReIDTTAModel', 'ReductionNeck', 'ResNetTaps', 'TapBackbone', 'TripletHead', 'TripletLoss',
    'latent_state_dict', 'load_latent_state_dict', 'reset_latent_states'
]
