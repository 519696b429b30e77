"""Samplers that make the data stream a pure function of (seed, epoch, position)."""

from mmreid.datasets.seeding import SeededIndex

from .base import EpochSampler, EvalSampler, ShuffleSampler
from .domain_balanced import DomainBalancedSampler
from .pk import PKSampler
from .single_dataset_pk import SingleDatasetPKSampler
from .source_target_pk import SourceTargetPKSampler

__all__ = ['DomainBalancedSampler', 'EpochSampler', 'EvalSampler', 'PKSampler', 'SeededIndex', 'ShuffleSampler',
           'SingleDatasetPKSampler', 'SourceTargetPKSampler']
