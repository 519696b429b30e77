"""Graph-regularised dictionary learning: Eq. 2 and 3 of DTL."""

from .codes import GraphSystem, solve_codes
from .files import Dictionary, read_dictionary, save_dictionary
from .graph import cross_camera_graph
from .out_of_sample import codes_of
from .solver import DictionaryFit, fit_dictionary

__all__ = [
    'Dictionary', 'DictionaryFit', 'GraphSystem', 'codes_of', 'cross_camera_graph', 'fit_dictionary', 'read_dictionary',
    'save_dictionary', 'solve_codes'
]
