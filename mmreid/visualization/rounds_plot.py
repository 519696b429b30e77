"""What happened in the rounds of trainings with pseudo labels, as a picture."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from mmreid.engine.pseudo_rounds import RoundRecords

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The record of a round, and those of a training.
Record = Mapping[str, Any]
Run = Sequence[Record]
#: Metrics that are shown, of whatever protocols the validation has.
METRICS = ('mAP', 'rank-1')
_COLUMNS, _PANEL_SIZE = 4, (3.6, 2.7)
_DASHES = ('-', ':', '--')
_CURVE = 'images that a threshold selects (%)'
_LOGARITHMIC = 20  # the scale of a panel of sizes whose largest is more than this many times its smallest


@dataclass(frozen=True)
class Quantity:
    """A number of each round.

    Attributes:
        path (tuple[str, ...]): Keys that lead to it in a record.
        title (str): Of its panel; quantities with the same title share one.
        column (str): Title of its column in a table, which such quantities share, too.
        line (str): Its name among others in its panel. Defaults to ``''``.
        scale (float): What it is shown times of. Defaults to 1.
        form (str): Its format in a table. Defaults to ``'.3f'``.
        before (tuple[str, ...]): Keys that lead, in the first record, to the value before the first round. Defaults to
            ``()``: there is none.
    """

    path: tuple[str, ...]
    title: str
    column: str
    line: str = ''
    scale: float = 1.
    form: str = '.3f'
    before: tuple[str, ...] = ()

    def values(self, run: Run) -> dict[int, float]:
        """The number by round, without rounds that have none; 0 is before the first."""
        found = {record['round']: _number(record, self.path) for record in run}
        if self.before and run:
            found[0] = _number(run[0], self.before)
        return {number: self.scale * found[number] for number in sorted(found) if found[number] is not None}


def _sizes(key: str, title: str, column: str) -> list[Quantity]:
    return [Quantity((key, name), title, f'{column} median/min/max', name, form='.4g')
            for name in ('median', 'min', 'max')]


#: What records may have, in the order in which it is shown; metrics follow.
QUANTITIES = (
    Quantity(('fraction', ), 'images selected (%)', 'selected %', scale=100, form='.1f'),
    Quantity(('num_clusters', ), 'clusters alive', 'clusters', form='.4g'),
    *_sizes('cluster_size', 'images of a cluster', 'size'),
    *_sizes('selected_size', 'selected images of a cluster', 'selected'),
    Quantity(('iterations', ), 'iterations of k-means', 'iterations', form='.4g'),
    Quantity(('inertia', ), 'inertia of k-means', 'inertia', form='.6g'),
    Quantity(('quality', 'purity'), 'purity', 'purity'),
    Quantity(('quality', 'nmi'), 'NMI', 'NMI'),
    Quantity(('quality', 'pair_precision'), 'precision of pairs', 'precision'),
    Quantity(('quality', 'pair_recall'), 'recall of pairs', 'recall'),
    Quantity(('quality', 'cross_precision'), 'precision of pairs across cameras', 'x-cam precision'),
    Quantity(('quality', 'cross_recall'), 'recall of pairs across cameras', 'x-cam recall'),
    Quantity(('cameras_per_cluster', ), 'cameras of a cluster', 'cameras'),
    Quantity(('quality', 'label_precision'), 'precision of labels from the anchor camera', 'label precision'),
    Quantity(('quality', 'feature_label_precision'), 'precision of labels by features', 'by features'),
    Quantity(('agreement', ), 'labels that features and codes share (%)', 'agreement %', scale=100, form='.1f'),
    Quantity(('dictionary', 'objective'), 'objective of the dictionary', 'objective', form='.6g'),
)


def read_rounds(work_dir: Union[str, Path]) -> list[dict[str, Any]]:
    """Read the records of a training with pseudo labels; it may still run.

    The file is replaced in one step whenever something is added, so what is read is whole. The newest round may have
    no metrics yet.

    Args:
        work_dir (str | Path): Work directory, or its ``rounds.json``.

    Returns:
        list[dict[str, Any]]: A record for each round, at least one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, is something else, or has no round yet.
    """
    path = Path(work_dir)
    path = path if path.is_file() else path / RoundRecords.FILE
    if not path.is_file():
        raise FileNotFoundError(f'there is no {path}: it is written by PseudoLabelHook after the first labelling of a '
                                'training with pseudo labels; name the work directory of one that has come so far')
    try:
        records = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:  # also wrong UTF-8
        raise ValueError(f'{path} is damaged, or copied only in part: it is no JSON ({error})') from error
    if not isinstance(records, list) or not all(
            isinstance(record, dict) and type(record.get('round')) is int for record in records):
        raise ValueError(f'{path} has no records of rounds: expected a list of objects that have a number "round"')
    if not records:
        raise ValueError(f'{path} has no round yet')
    return records


def metric_quantities(runs: Sequence[Run]) -> list[Quantity]:
    """The metrics (:data:`METRICS`) that records of these runs have, of all protocols."""
    keys = dict.fromkeys(key for run in runs for record in run for where in ('initial_metrics', 'metrics')
                         for key in (record.get(where) or {}))
    return [Quantity(('metrics', key), _title(key), key.split('/')[-1] if _alone(key, keys) else key, form='.2f',
                     before=('initial_metrics', key))
            for name in METRICS for key in keys if key.split('/')[-1] == name]


def seeds_of(runs: Union[Run, Sequence[Run]]) -> list[Run]:
    """The runs of a name: several, or one."""
    runs = list(runs)
    return [runs] if all(isinstance(item, Mapping) for item in runs) else runs


def draw_rounds(runs: Mapping[str, Union[Run, Sequence[Run]]], path: Optional[Union[str, Path]] = None) -> 'Figure':
    """Draw trainings with pseudo labels over their rounds.

    There is a panel for each of the share of images that is selected; clusters alive, and their sizes; iterations and
    inertia of k-means; purity, NMI, precision and recall of pairs; mAP and rank-1 (0 is before the first round, also
    as a thin line across); and what each threshold would select, in the first, the middle and the last round. One
    without data is left out.

    Args:
        runs (Mapping[str, Sequence]): Records (see :func:`read_rounds`) by name, one colour each. Instead of those of
            one run, a name may have a list of runs that differ in the seed: their mean over the rounds that all of them
            have, in a band from the smallest to the largest, and thin lines of each.
        path (str | Path, optional): File to write (PNG, PDF or SVG by its suffix). Defaults to None: none.

    Returns:
        Figure: The picture of matplotlib. Thick lines have labels, ``name`` or ``name: part``.

    Raises:
        ValueError: If there is nothing to draw.

    Example:
        >>> draw_rounds({'PUL': [read_rounds('pul_seed0'), read_rounds('pul_seed1')],
        ...              'no selection': read_rounds('ablation')}, 'rounds.png')
    """
    # The object interface: no global state, and no display is asked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    groups = {name: seeds_of(value) for name, value in runs.items()}
    every = [run for seeds in groups.values() for run in seeds]
    quantities = (*QUANTITIES, *metric_quantities(every))
    shown = [item for item in quantities if any(item.values(run) for run in every)]
    titles = list(dict.fromkeys(item.title for item in shown))
    has_curve = any(_curve(record) for run in every for record in run)
    count = len(titles) + has_curve
    if not count:
        raise ValueError('there is nothing to draw: no record of a round has a number that is known')
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(columns * _PANEL_SIZE[0], rows * _PANEL_SIZE[1] + .4), layout='constrained')
    FigureCanvasAgg(figure)
    for number, title in enumerate(titles, 1):
        first = figure.axes[0] if figure.axes else None
        axes = figure.add_subplot(rows, columns, number, title=title, xlabel='round', sharex=first)
        _draw_quantities(axes, groups, [item for item in shown if item.title == title])
    if has_curve:
        _draw_curves(figure.add_subplot(rows, columns, count, title=_CURVE, xlabel='threshold'), groups)
    _name_colours(figure, groups)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return figure


def _draw_quantities(axes: 'Axes', groups: Mapping[str, Sequence[Run]], quantities: Sequence[Quantity]) -> None:
    """Draw what shares a panel over the rounds."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
    smallest, largest = math.inf, 0.
    for colour, (name, seeds) in zip(_colours(), groups.items()):
        for dashes, item in zip(_DASHES, quantities):
            series = [values for values in map(item.values, seeds) if values]
            _draw_series(axes, series, colour, dashes, f'{name}: {item.line}' if item.line else name)
            smallest = min([smallest, *(min(values.values()) for values in series)])
            largest = max([largest, *(max(values.values()) for values in series)])
            before = [values[0] for values in series if 0 in values]
            if before:
                axes.axhline(sum(before) / len(before), color=colour, linewidth=.8, linestyle='--', label='_before')
    if len(quantities) > 1:
        _name_dashes(axes, [item.line for item in quantities])
        if 0 < _LOGARITHMIC * smallest < largest:
            axes.set_yscale('log')
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=.3)


def _draw_curves(axes: 'Axes', groups: Mapping[str, Sequence[Run]]) -> None:
    """Draw the selection curves of the first, the middle and the last round."""
    rounds: dict[str, set[int]] = {}
    styles = dict(zip(('last', 'first', 'middle'), _DASHES))
    for colour, (name, seeds) in zip(_colours(), groups.items()):
        chosen = [_some_rounds([record for record in run if _curve(record)]) for run in seeds]
        for part, dashes in styles.items():
            records = [run[part] for run in chosen if part in run]
            series = [{threshold: 100 * share for threshold, share in _curve(record).items()} for record in records]
            _draw_series(axes, series, colour, dashes, f'{name}: {part}')
            rounds.setdefault(part, set()).update(record['round'] for record in records)
    _name_dashes(axes, [f'round {min(numbers)}' if len(numbers) == 1 else f'{part} round'
                        for part, numbers in rounds.items() if numbers])
    axes.set_ylim(0, 103)  # a line at 100 is seen whole
    axes.grid(alpha=.3)


def _draw_series(axes: 'Axes', series: Sequence[Mapping[float, float]], colour: str, dashes: str, label: str) -> None:
    """Draw the mean of several runs where all have a value, their range, and each of them; or the only one."""
    places = sorted(set.intersection(*map(set, series))) if series else []
    if places:
        values = np.array([[run[place] for place in places] for run in series])
        marker = '.' if dashes == '-' else ''
        axes.plot(places, values.mean(axis=0), color=colour, linestyle=dashes, marker=marker, label=label)
        if len(series) > 1:
            axes.fill_between(places, values.min(axis=0), values.max(axis=0), color=colour, alpha=.2, linewidth=0)
    for run in series if len(series) > 1 else ():
        axes.plot(list(run), list(run.values()), color=colour, linestyle=dashes, linewidth=.6, alpha=.6, label='_seed')


def _some_rounds(records: Run) -> dict[str, Record]:
    """The last record, the first, and the one in the middle, where these are different ones."""
    places = dict(last=len(records) - 1, first=0, middle=(len(records) - 1) // 2)
    return {part: records[place] for part, place in list(places.items())[:len(records)]}


def _name_dashes(axes: 'Axes', names: Sequence[str]) -> None:
    """Say which dashes are what."""
    from matplotlib.lines import Line2D
    handles = [Line2D([], [], color='0.3', linestyle=dashes, label=name) for dashes, name in zip(_DASHES, names)]
    axes.legend(handles=handles, fontsize='small')


def _name_colours(figure: 'Figure', groups: Mapping[str, Sequence[Run]]) -> None:
    """Say which colour is which name."""
    from matplotlib.lines import Line2D
    names = [name + (f' (mean of {len(seeds)})' if len(seeds) > 1 else '') for name, seeds in groups.items()]
    handles = [Line2D([], [], color=colour, label=name) for colour, name in zip(_colours(), names)]
    figure.legend(handles=handles, loc='outside upper center', ncols=min(len(names), 2 * _COLUMNS))


def _colours() -> Iterator[str]:
    """Colours of matplotlib's cycle, over and over."""
    while True:
        yield from (f'C{number}' for number in range(10))


def _number(record: Record, path: Sequence[str]) -> Optional[float]:
    """The finite number at the end of a path, None where there is none."""
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if _is_number(value) else None


def _curve(record: Record) -> dict[float, float]:
    """Share by threshold, empty where a record has none."""
    pairs = record.get('selection_curve') or ()
    return {threshold: share for threshold, share in pairs if _is_number(share)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _alone(key: str, keys: Mapping[str, Any]) -> bool:
    """Whether a metric is there for one protocol only."""
    return sum(other.split('/')[-1] == key.split('/')[-1] for other in keys) == 1


def _title(key: str) -> str:
    """``protocol/mAP`` as the title of a panel."""
    protocol, _, name = key.rpartition('/')
    return f'{name} (%), {protocol}' if protocol else f'{name} (%)'
