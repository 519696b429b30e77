"""Backbones: from images to tuples of feature maps."""

from .base import TapBackbone
from .densenet import DenseNetTaps
from .dgdnet import DGDNet
from .googlenet import GoogLeNet
from .mgn_resnet import MGNResNet
from .mobilenet_v1 import MobileNetV1
from .pretrained import load_pretrained
from .resnet import ResNetTaps

__all__ = [
    'DGDNet', 'DenseNetTaps', 'GoogLeNet', 'MGNResNet', 'MobileNetV1', 'ResNetTaps', 'TapBackbone', 'load_pretrained'
]
