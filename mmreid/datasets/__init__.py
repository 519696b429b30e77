"""Datasets, samplers and transforms."""

from .base import ReIDDataset
from .collate import reid_collate
from .data_root import DATA_ROOT_ENV, resolve_data_root
from .image_io import ImageReadError, read_image
from .market1501 import Market1501
from .market_layout import export_market_layout
from .samplers import EpochSampler, EvalSampler, PKSampler, SeededIndex, ShuffleSampler
from .synthetic import SyntheticReID
from .transforms import LoadImage, PackReIDInputs

__all__ = [
    'DATA_ROOT_ENV', 'EpochSampler', 'EvalSampler', 'ImageReadError', 'LoadImage', 'Market1501', 'PKSampler',
    'PackReIDInputs', 'ReIDDataset', 'SeededIndex', 'ShuffleSampler', 'SyntheticReID', 'export_market_layout',
    'read_image', 'reid_collate', 'resolve_data_root'
]
