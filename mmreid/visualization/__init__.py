"""Figures."""

from .cmc_curve import plot_cmc
from .contact_sheet import MISSING, SheetLayout, contact_sheet
from .finished_rounds import draw_finished_rounds
from .rounds_plot import draw_rounds, read_rounds

__all__ = ['MISSING', 'SheetLayout', 'contact_sheet', 'draw_finished_rounds', 'draw_rounds', 'plot_cmc', 'read_rounds']
