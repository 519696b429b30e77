"""Small tools that depend on nothing else in mmreid."""

from .distance import pairwise_distance

__all__ = ['pairwise_distance']
