"""How unlabelled images get labels: arrays in, labels and a mask out. Labellers are registered in ``TASK_UTILS``."""

from .base import PseudoLabeller, PseudoLabels, contiguous_labels
from .camera_mixing import camera_mixing
from .camera_normalised import CameraNormalised
from .density_clusters import DensityClusters
from .kmeans import KMeansResult, kmeans
from .quality import label_quality
from .selection_curve import selection_curve
from .self_paced_kmeans import SelfPacedKMeans

__all__ = [
    'CameraNormalised', 'DensityClusters', 'KMeansResult', 'PseudoLabeller', 'PseudoLabels', 'SelfPacedKMeans',
    'camera_mixing', 'contiguous_labels', 'kmeans', 'label_quality', 'selection_curve'
]
