"""Embedders: whole models that turn images into features."""

from .embedding_net import EmbeddingNet

__all__ = ['EmbeddingNet']
