"""Data elements that travel between the parts of mmreid."""

from .reid_data_sample import ReIDDataSample

__all__ = ['ReIDDataSample']
