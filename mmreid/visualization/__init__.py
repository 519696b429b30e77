"""Figures."""

from .cmc_curve import plot_cmc

__all__ = ['plot_cmc']
