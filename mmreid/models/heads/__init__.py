"""Heads: from embeddings and labels to losses."""

from .autoencoder_head import AutoencoderHead
from .base import ReIDHead
from .classification_head import ClassificationHead
from .domain_head import DomainHead
from .embae_head import EmbAEHead
from .head_group import HeadGroup
from .triplet_head import TripletHead
from .verification_head import VerificationHead
from .verification_pairs import PairCounts, VerificationPairs, count_pairs, image_numbers, verification_pairs

__all__ = [
    'AutoencoderHead', 'ClassificationHead', 'DomainHead', 'EmbAEHead', 'HeadGroup', 'PairCounts', 'ReIDHead',
    'TripletHead', 'VerificationHead', 'VerificationPairs', 'count_pairs', 'image_numbers', 'verification_pairs'
]
