"""Test-time augmentation: the feature of an image from several views of it."""

from .apply_tta import apply_tta, choose_tta
from .reid_tta_model import ReIDTTAModel

__all__ = ['ReIDTTAModel', 'apply_tta', 'choose_tta']
