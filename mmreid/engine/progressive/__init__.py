"""Steering hyper-parameters while training: what is searched, and how."""

from .searches import BayesianSearch, GaussianProcess, GridSearch, HyperParameterSearch, RandomSearch
from .space import SearchSpace

__all__ = ['BayesianSearch', 'GaussianProcess', 'GridSearch', 'HyperParameterSearch', 'RandomSearch', 'SearchSpace']
