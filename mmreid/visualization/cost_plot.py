"""Accuracy over what it costs, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Key of a row, what it is called, and what it is divided by.
COSTS = (('mult_adds', 'Mult-Adds of an image (G)', 1e9), ('bytes_per_image', 'inference memory of an image (MB)', 1e6),
         ('params', 'parameters (M)', 1e6))


def draw_costs(rows: Sequence[Mapping[str, Any]], path: Optional[Union[str, Path]] = None,
               metric: str = 'mAP') -> 'Figure':
    """Draw accuracy over Mult-Adds, over inference memory and over parameters: Figures 4 and 5 of PLA.

    Args:
        rows (Sequence[Mapping]): One for each point: ``name``, ``accuracy`` (percent), ``mult_adds``,
            ``bytes_per_image`` and ``params``. What is None or missing is left out, and so is a panel without points.
        path (str | Path, optional): File to write (PNG, PDF or SVG by its suffix). Defaults to None: none.
        metric (str): What the accuracy is. Defaults to ``'mAP'``.

    Returns:
        Figure: The picture of matplotlib.

    Raises:
        ValueError: If no row has an accuracy and a cost.
    """
    # The object interface: no global state, and no display is asked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    panels = [(label, [(row['name'], row[key] / unit, row['accuracy']) for row in rows
                       if row.get('accuracy') is not None and row.get(key) is not None]) for key, label, unit in COSTS]
    panels = [(label, points) for label, points in panels if points]
    if not panels:
        raise ValueError('there is nothing to draw: no row has both an accuracy and a cost')
    figure = Figure(figsize=(4 * len(panels), 3.6), layout='constrained')
    FigureCanvasAgg(figure)
    for number, (label, points) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number, xlabel=label, ylabel=f'{metric} (%)')
        for place, (name, cost, accuracy) in enumerate(points):
            axes.plot([cost], [accuracy], marker='o', linestyle='', color=f'C{place % 10}', label=name)
            axes.annotate(name, (cost, accuracy), textcoords='offset points', xytext=(0, 6), ha='center',
                          fontsize='small')
        axes.set_xlim(0, 1.25 * max(cost for _, cost, _ in points))
        axes.margins(y=.2)
        axes.grid(alpha=.3)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return figure
