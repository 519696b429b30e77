"""What a program calls: features of images and ranked lists from a trained network."""

from .images import Unreadable, list_images
from .inferencer import ReIDInferencer
from .nearest import nearest_images
from .preparation import add_test_dataloader, find_test_pipeline, require_test_set
from .results import ImageFeatures, RankedLists

__all__ = [
    'ImageFeatures', 'RankedLists', 'ReIDInferencer', 'Unreadable', 'add_test_dataloader', 'find_test_pipeline',
    'list_images', 'nearest_images', 'require_test_set'
]
