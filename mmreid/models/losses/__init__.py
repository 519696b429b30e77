"""Losses: tensors in, tensors out."""

from .cross_entropy_loss import CrossEntropyLoss
from .triplet_loss import TripletLoss, batch_hard, valid_anchors

__all__ = ['CrossEntropyLoss', 'TripletLoss', 'batch_hard', 'valid_anchors']
