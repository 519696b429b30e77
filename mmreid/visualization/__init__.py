"""Figures."""

from .cmc_curve import plot_cmc
from .contact_sheet import MISSING, SheetLayout, contact_sheet
from .cost_plot import draw_costs
from .finished_rounds import draw_finished_rounds
from .progressive_plot import draw_progress, read_progress
from .ranked_lists import ranked_list_sheet
from .rounds_plot import draw_rounds, read_rounds

__all__ = [
    'MISSING', 'SheetLayout', 'contact_sheet', 'draw_costs', 'draw_finished_rounds', 'draw_progress', 'draw_rounds',
    'plot_cmc', 'ranked_list_sheet', 'read_progress', 'read_rounds'
]
