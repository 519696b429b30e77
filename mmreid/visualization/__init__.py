"""Figures."""

from .cmc_curve import plot_cmc
from .contact_sheet import MISSING, SheetLayout, contact_sheet

__all__ = ['MISSING', 'SheetLayout', 'contact_sheet', 'plot_cmc']
