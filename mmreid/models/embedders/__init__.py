"""Embedders: whole models that turn images into features."""

from .distillation_net import DistillationNet
from .embedding_net import EmbeddingNet
from .frozen_teacher import FrozenTeacher

__all__ = ['DistillationNet', 'EmbeddingNet', 'FrozenTeacher']
