"""Datasets, samplers and transforms."""

from .base import ReIDDataset
from .collate import reid_collate
from .cuhk01 import CUHK01
from .cuhk03 import CUHK03
from .data_root import DATA_ROOT_ENV, resolve_data_root
from .duke import DukeMTMCreID
from .folder import FolderReID
from .image_io import ImageReadError, read_image
from .market1501 import Market1501
from .market_layout import convert_to_market, export_market_layout
from .merged import MergedReIDDataset
from .msmt17 import MSMT17
from .named_images import NamedImageDataset
from .prid2011 import PRID2011
from .pseudo_labelled import PseudoLabelDataset
from .samplers import (
                       DomainBalancedSampler,
                       EpochSampler,
                       EvalSampler,
                       PKSampler,
                       SeededIndex,
                       ShuffleSampler,
                       SingleDatasetPKSampler,
                       SourceTargetPKSampler,
)
from .source_target import SourceTargetDataset
from .synthetic import SyntheticReID
from .transforms import LoadImage, PackReIDInputs
from .two_views import TwoViewDataset
from .unlabelled import UnlabelledDataset
from .viper import VIPeR
from .ward import WARD

__all__ = [
    'CUHK01', 'CUHK03', 'DATA_ROOT_ENV', 'DomainBalancedSampler', 'DukeMTMCreID', 'EpochSampler', 'EvalSampler',
    'FolderReID', 'ImageReadError', 'LoadImage', 'MSMT17', 'Market1501', 'MergedReIDDataset', 'NamedImageDataset',
    'PKSampler', 'PRID2011', 'PackReIDInputs', 'PseudoLabelDataset', 'ReIDDataset', 'SeededIndex',
    'ShuffleSampler', 'SingleDatasetPKSampler', 'SourceTargetDataset', 'SourceTargetPKSampler', 'SyntheticReID',
    'TwoViewDataset', 'UnlabelledDataset', 'VIPeR', 'WARD', 'convert_to_market', 'export_market_layout', 'read_image',
    'reid_collate', 'resolve_data_root'
]
