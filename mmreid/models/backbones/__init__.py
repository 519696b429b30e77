"""Backbones: from images to tuples of feature maps."""

from .base import TapBackbone
from .densenet import DenseNetTaps
from .mgn_resnet import MGNResNet
from .pretrained import load_pretrained
from .resnet import ResNetTaps

__all__ = ['DenseNetTaps', 'MGNResNet', 'ResNetTaps', 'TapBackbone', 'load_pretrained']
