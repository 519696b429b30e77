"""Searches of hyper-parameters: observations in, a set out. They are registered in ``TASK_UTILS``."""

from .base import HyperParameterSearch, Observation
from .bayesian_search import BayesianSearch, Belief
from .gaussian_process import GaussianProcess, expected_improvement
from .grid_search import GridSearch
from .random_search import RandomSearch

__all__ = ['BayesianSearch', 'Belief', 'GaussianProcess', 'GridSearch', 'HyperParameterSearch', 'Observation',
           'RandomSearch', 'expected_improvement']
