"""Backbones: from images to tuples of feature maps."""

from .base import TapBackbone
from .densenet import DenseNetTaps
from .pretrained import load_pretrained
from .resnet import ResNetTaps

__all__ = ['DenseNetTaps', 'ResNetTaps', 'TapBackbone', 'load_pretrained']
