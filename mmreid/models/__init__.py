"""Models: backbones, necks, heads, losses, layers and the embedders made of them."""

from .backbones import DenseNetTaps, ResNetTaps, TapBackbone
from .data_preprocessor import ReIDDataPreprocessor
from .embedders import EmbeddingNet
from .heads import ClassificationHead, ReIDHead, TripletHead
from .layers import BConvCell, GlobalPool, latent_state_dict, load_latent_state_dict, reset_latent_states
from .losses import CrossEntropyLoss, TripletLoss
from .necks import BNNeck, PTLNeck, ReductionNeck
from .tta import ReIDTTAModel

__all__ = [
    'BConvCell', 'BNNeck', 'ClassificationHead', 'CrossEntropyLoss', 'DenseNetTaps', 'EmbeddingNet', 'GlobalPool',
    'PTLNeck', 'ReIDDataPreprocessor', 'ReIDHead', 'ReIDTTAModel', 'ReductionNeck', 'ResNetTaps', 'TapBackbone',
    'TripletHead', 'TripletLoss', 'latent_state_dict', 'load_latent_state_dict', 'reset_latent_states'
]
