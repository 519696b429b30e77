"""What a training with searched hyper-parameters tried, chose and spent, as a picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from mmreid.engine.progressive import HyperParameterSearch, SearchSpace
from mmreid.engine.progressive.record import ProgressiveRecord, exploring_seconds
from mmreid.engine.progressive.searches import Belief
from mmreid.registry import TASK_UTILS
from mmreid.utils.config import load_config

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS, _PANEL_SIZE = 4, (3.8, 2.9)
_STEPS = 101  # of a slice of a parameter that is not an integer


@dataclass(frozen=True)
class Progress:
    """The record of a training, and what it searched.

    Attributes:
        trials (list[dict]): Finished trials in their order.
        cycles (list[dict]): Cycles that have begun exploitation, in their order.
        space (SearchSpace, optional): What was searched. Defaults to None: unknown.
        search (HyperParameterSearch, optional): How. Defaults to None: unknown.
    """

    trials: Sequence[Mapping[str, Any]]
    cycles: Sequence[Mapping[str, Any]]
    space: Optional[SearchSpace] = None
    search: Optional[HyperParameterSearch] = None

    @property
    def names(self) -> list[str]:
        """Names of the hyper-parameters, in the order of the space where it is known."""
        found = dict.fromkeys(name for line in (*self.trials, *self.cycles) for name in line.get('values') or {})
        order = self.space.names if self.space is not None else ()
        return sorted(found, key=lambda name: order.index(name) if name in order else len(order))

    def of_cycle(self, number: int) -> list[Mapping[str, Any]]:
        """The trials of a cycle."""
        return [trial for trial in self.trials if trial['cycle'] == number]

    def belief(self, cycle: int) -> Optional[Belief]:
        """What the search believed when the set to exploit was chosen; None where it keeps no belief."""
        if self.space is None or not hasattr(self.search, 'fit'):
            return None
        return self.search.fit(self.space, [trial for trial in self.trials if trial['cycle'] <= cycle], cycle=cycle)


def read_progress(work_dir: Union[str, Path], config: Optional[Union[str, Path]] = None) -> Progress:
    """Read the record of a training with searched hyper-parameters; it may still run.

    Args:
        work_dir (str | Path): Its work directory.
        config (str | Path, optional): Its config, which tells what was searched. Defaults to None: the newest in the
            work directory, if there is one.

    Returns:
        Progress: At least one trial.

    Raises:
        FileNotFoundError: If there is no record.
        ValueError: If it is damaged, or ``config`` has no search space.
    """
    record = ProgressiveRecord(work_dir)
    if not record.trials:
        raise FileNotFoundError(f'{record.folder} has no trial: {record.TRIALS} is written by ProgressiveLearningLoop '
                                'after the first one; name the work directory of a training that has come so far')
    found = config or max(Path(work_dir).glob('*.py'), key=lambda path: path.stat().st_mtime, default=None)
    settings = (load_config(str(found)).get('train_cfg') or {}) if found else {}
    if config and not settings.get('space'):
        raise ValueError(f'{config} has no train_cfg.space: name the config that the training in {work_dir} began with')
    if not settings.get('space'):
        return Progress(record.trials, record.cycles)
    given = dict(settings.get('search') or dict(type='BayesianSearch'))
    search, shown = TASK_UTILS.build(given), settings.get('gp_history', 'cycle')
    if hasattr(search, 'history') and (shown == 'cycle' or 'history' not in given):
        search.history = shown  # it cannot have seen more than the loop has shown
    return Progress(record.trials, record.cycles, SearchSpace(settings['space']), search)


def time_shares(progress: Progress) -> dict[int, tuple[float, float]]:
    """Seconds of exploration and of exploitation by cycle, as far as they are known.

    Exploration is what the cycle says or, until it has ended, the sum of its trials, of those that several processes
    had at the same time the longest.
    """
    cycles = {line['cycle']: line for line in progress.cycles}
    found = {}
    for number in sorted({*cycles, *(trial['cycle'] for trial in progress.trials)}):
        line, trials = cycles.get(number, {}), progress.of_cycle(number)
        explored = line.get('explore_seconds')
        if explored is None:
            explored = exploring_seconds(trials)
        found[number] = (explored, line.get('exploit_seconds') or 0.)
    return found


def exploring_share(progress: Progress) -> float:
    """Share of the time that was spent exploring; NaN where no time is recorded."""
    explored, exploited = (sum(parts) for parts in zip(*time_shares(progress).values()))
    return explored / (explored + exploited) if explored + exploited else math.nan


def draw_progress(progress: Progress, path: Optional[Union[str, Path]] = None,
                  cycle: Optional[int] = None) -> 'Figure':
    """Draw a training with searched hyper-parameters.

    There is a panel for the objective of all trials; for each hyper-parameter what was tried and what was chosen over
    the cycles; for the seconds of exploration and of exploitation; and, where the search has a Gaussian process, for
    each hyper-parameter what was believed of the objective (mean, a standard deviation to both sides) with the expected
    improvement, the others at the chosen values, and for pairs of them a map of the expected improvement.

    Args:
        progress (Progress): See :func:`read_progress`.
        path (str | Path, optional): File to write (PNG, PDF or SVG by its suffix). Defaults to None: none.
        cycle (int, optional): The cycle whose belief is shown. Defaults to None: the last that chose a set.

    Returns:
        Figure: The picture of matplotlib.

    Raises:
        ValueError: If the cycle has chosen nothing.

    Example:
        >>> draw_progress(read_progress('work_dirs/pla/resnet50_market'), 'progress.png')
    """
    # The object interface: no global state, and no display is asked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    line = chosen_cycle(progress, cycle)
    belief = progress.belief(line['cycle']) if line else None
    slices = list(progress.space.names) if belief else []
    pairs = list(zip(slices[::2], slices[1::2]))
    count = 2 + len(progress.names) + len(slices) + len(pairs)
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(columns * _PANEL_SIZE[0], rows * _PANEL_SIZE[1]), layout='constrained')
    FigureCanvasAgg(figure)
    places = iter(range(1, count + 1))

    def panel(title: str) -> 'Axes':
        return figure.add_subplot(rows, columns, next(places), title=title)

    _draw_objectives(panel('objective of the trials'), progress)
    _draw_time(panel('seconds'), progress)
    for name in progress.names:
        _draw_values(panel(name), progress, name)
    for name in slices:
        _draw_slice(panel(f'belief after cycle {line["cycle"]}: {name}'), progress.space, belief, line['values'], name)
    for pair in pairs:
        _draw_map(panel(f'EI after cycle {line["cycle"]}'), progress.space, belief, line['values'], pair)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return figure


def chosen_cycle(progress: Progress, number: Optional[int]) -> Optional[Mapping[str, Any]]:
    """The line of a cycle that chose a set, of the last such one by default; None where there is none yet.

    Raises:
        ValueError: If the cycle that is asked for has chosen nothing.
    """
    lines = {line['cycle']: line for line in progress.cycles if line.get('values')}
    if number is not None and number not in lines:
        raise ValueError(f'cycle {number} has chosen no set; those that have: '
                         f'{", ".join(map(str, lines)) or "none yet"}')
    return lines.get(max(lines, default=None) if number is None else number)


def slice_points(space: SearchSpace, values: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of a parameter, ``(M,)``, and the points with these and all others as given, ``(M, D)``."""
    column = space.names.index(name)
    parameter = space.parameters[column]
    count = int(parameter.count) if parameter.integer else _STEPS
    points = np.repeat(space.normalise(values)[None], count, axis=0)
    points[:, column] = np.arange(count) / (count - 1)
    places = parameter.low + (np.arange(count) if parameter.integer else points[:, column] * parameter.width)
    return places, points


def _draw_objectives(axes: 'Axes', progress: Progress) -> None:
    """Objectives over all trials, the lowest of each cycle, and which trials failed."""
    from matplotlib.ticker import MaxNLocator
    numbers = {cycle: [row for row, trial in enumerate(progress.trials, 1) if trial['cycle'] == cycle]
               for cycle in dict.fromkeys(trial['cycle'] for trial in progress.trials)}
    for colour, (cycle, rows) in enumerate(numbers.items()):
        known = {row: progress.trials[row - 1]['objective'] for row in rows
                 if is_finite(progress.trials[row - 1]['objective'])}
        failed = [row for row in rows if row not in known]
        axes.plot(list(known), list(known.values()), '.', color=f'C{colour % 10}', label=f'cycle {cycle}')
        if known:
            axes.hlines(min(known.values()), rows[0] - .4, rows[-1] + .4, color=f'C{colour % 10}', linewidth=.8)
        if failed:  # they have no height, and stand at the upper edge
            axes.plot(failed, [.97] * len(failed), 'x', color='red', label='_failed',
                      transform=axes.get_xaxis_transform())
    axes.set_xlabel('trial (x: failed)')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize='x-small', ncols=1 + (len(numbers) > 4))
    axes.grid(alpha=.3)


def _draw_values(axes: 'Axes', progress: Progress, name: str) -> None:
    """What was tried and what was chosen over the cycles."""
    from matplotlib.ticker import MaxNLocator
    tried = [(trial['cycle'], trial['values'][name]) for trial in progress.trials]
    chosen = [(line['cycle'], line['values'][name]) for line in progress.cycles if line.get('values')]
    axes.plot(*zip(*tried), '.', color='0.7', label='tried')
    if chosen:
        axes.plot(*zip(*chosen), 'o-', color='C0', label='chosen')
    if progress.space is not None and name in progress.space.names:
        parameter = progress.space.parameters[progress.space.names.index(name)]
        axes.set_ylim(parameter.low - .05 * parameter.width, parameter.high + .05 * parameter.width)
    axes.set_xlabel('cycle')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize='small')
    axes.grid(alpha=.3)


def _draw_time(axes: 'Axes', progress: Progress) -> None:
    """Seconds of each cycle."""
    from matplotlib.ticker import MaxNLocator
    shares = time_shares(progress)
    explored, exploited = zip(*shares.values())
    axes.bar(list(shares), explored, color='C1', label='exploration')
    axes.bar(list(shares), exploited, bottom=explored, color='C0', label='exploitation')
    share = exploring_share(progress)
    axes.set_xlabel('cycle' if math.isnan(share) else f'cycle; exploration: {100 * share:.1f} % of all')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.35)  # the legend is above the bars
    axes.legend(fontsize='small', loc='upper left')


def _draw_slice(axes: 'Axes', space: SearchSpace, belief: Belief, values: Mapping[str, Any], name: str) -> None:
    """The belief along a parameter, the others as they were chosen, with the expected improvement to the right."""
    places, points = slice_points(space, values, name)
    mean, std = belief.process.predict(points)
    axes.plot(places, mean, color='C0', label='mean')
    axes.fill_between(places, mean - std, mean + std, color='C0', alpha=.2, linewidth=0)
    axes.axvline(values[name], color='0.5', linestyle='--', linewidth=.8, label='_chosen')
    other = axes.twinx()
    other.plot(places, belief.expected_improvement(points), color='C3', label='EI')
    other.set_ylim(bottom=0)
    axes.set_xlabel(name)
    axes.set_ylabel('objective', color='C0')
    other.set_ylabel('expected improvement', color='C3')


def _draw_map(axes: 'Axes', space: SearchSpace, belief: Belief, values: Mapping[str, Any],
              pair: tuple[str, str]) -> None:
    """The expected improvement over two parameters, the others as they were chosen."""
    (across, points), (upwards, other) = (slice_points(space, values, name) for name in pair)
    column = space.names.index(pair[1])
    grid = np.repeat(points[None], len(upwards), axis=0)
    grid[:, :, column] = other[:, None, column]
    found = belief.expected_improvement(grid.reshape(-1, len(space))).reshape(len(upwards), len(across))
    mesh = axes.pcolormesh(across, upwards, found, shading='nearest')
    axes.figure.colorbar(mesh, ax=axes)
    axes.plot(values[pair[0]], values[pair[1]], 'w+', label='chosen')
    axes.set_xlabel(pair[0])
    axes.set_ylabel(pair[1])


def is_finite(value: Any) -> bool:
    """Whether it is a number and finite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
