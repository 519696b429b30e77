"""How unlabelled images get labels: arrays in, labels and a mask out. Labellers are registered in ``TASK_UTILS``."""

from .base import PseudoLabeller, PseudoLabels, contiguous_labels
from .camera_mixing import camera_mixing
from .camera_normalised import CameraNormalised
from .cross_camera import CrossNeighbours, anchor_labels, choose_anchor, nearest_across
from .cross_camera_neighbours import CrossCameraNeighbours
from .density_clusters import DensityClusters
from .dictionary import DictionaryFit, codes_of, cross_camera_graph, fit_dictionary, read_dictionary, save_dictionary
from .graph_dictionary import GraphDictionary
from .kmeans import KMeansResult, kmeans
from .neighbour_quality import neighbour_quality
from .quality import label_quality
from .selection_curve import selection_curve
from .self_paced_kmeans import SelfPacedKMeans

__all__ = [
    'CameraNormalised', 'CrossCameraNeighbours', 'CrossNeighbours', 'DensityClusters', 'DictionaryFit',
    'GraphDictionary', 'KMeansResult', 'PseudoLabeller', 'PseudoLabels', 'SelfPacedKMeans', 'anchor_labels',
    'camera_mixing', 'choose_anchor', 'codes_of', 'contiguous_labels', 'cross_camera_graph', 'fit_dictionary', 'kmeans',
    'label_quality', 'nearest_across', 'neighbour_quality', 'read_dictionary', 'save_dictionary', 'selection_curve'
]
