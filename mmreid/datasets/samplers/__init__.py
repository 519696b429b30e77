"""Samplers that make the data stream a pure function of (seed, epoch, position)."""

from mmreid.datasets.seeding import SeededIndex

from .base import EpochSampler, EvalSampler, ShuffleSampler
from .pk import PKSampler

__all__ = ['EpochSampler', 'EvalSampler', 'PKSampler', 'SeededIndex', 'ShuffleSampler']
