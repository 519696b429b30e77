"""CMC curves as a picture."""

from pathlib import Path
from typing import Union

from mmreid.evaluation import RetrievalReport


def plot_cmc(report: RetrievalReport, path: Union[str, Path]) -> None:
    """Draw the CMC curve of every protocol of a report into a file (PNG, PDF or SVG by its suffix).

    Args:
        report (RetrievalReport): Result of an evaluation.
        path (str | Path): File to write.
    """
    # The object interface: no global state, and no display is asked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6, 4), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel='rank', ylabel='queries matched (%)', title=f'CMC, {report.metric}')
    for name, result in report.results.items():
        label = f'{name}: rank-1 {result.curve[0]:.1f}, mAP {result.metrics["mAP"]:.1f}'
        axes.plot(range(1, len(result.curve) + 1), result.curve, marker='.', label=label)
    axes.set_ylim(0, 100)
    axes.set_xlim(1, len(result.curve))
    axes.grid(alpha=0.3)
    axes.legend(loc='lower right')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
