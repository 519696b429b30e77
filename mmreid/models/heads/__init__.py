"""Heads: from embeddings and labels to losses."""

from .base import ReIDHead
from .classification_head import ClassificationHead
from .head_group import HeadGroup
from .triplet_head import TripletHead

__all__ = ['ClassificationHead', 'HeadGroup', 'ReIDHead', 'TripletHead']
