"""Losses: tensors in, tensors out."""

from .contrastive_loss import ContrastiveLoss
from .cross_entropy_loss import CrossEntropyLoss
from .masked_distance import masked_distance
from .triplet_loss import TripletLoss, batch_hard, valid_anchors

__all__ = ['ContrastiveLoss', 'CrossEntropyLoss', 'TripletLoss', 'batch_hard', 'masked_distance', 'valid_anchors']
