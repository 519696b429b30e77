"""Losses: tensors in, tensors out."""

from .contrastive_loss import ContrastiveLoss
from .cross_entropy_loss import CrossEntropyLoss
from .generalized_triplet_loss import GeneralizedBatchHardTripletLoss
from .hard_pairs import batch_hard, valid_anchors
from .masked_distance import masked_distance
from .triplet_loss import TripletLoss

__all__ = [
    'ContrastiveLoss', 'CrossEntropyLoss', 'GeneralizedBatchHardTripletLoss', 'TripletLoss', 'batch_hard',
    'masked_distance', 'valid_anchors'
]
