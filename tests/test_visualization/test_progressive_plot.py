"""The picture and the tables of a search of hyper-parameters, read back."""

import dataclasses
import importlib.util
import math
import os
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmreid.engine.progressive import BayesianSearch, RandomSearch, SearchSpace
from mmreid.engine.progressive.record import exploring_seconds
from mmreid.visualization import draw_progress, read_progress
from mmreid.visualization.progressive_plot import exploring_share, slice_points, time_shares

from .progressive_records import SETS, SPACE, cycle, run, trial, write

SEARCH = dict(type='BayesianSearch', num_random=1)
CONFIG = dict(type='ProgressiveLearningLoop', max_epochs=30, space=SPACE, search=SEARCH)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / 'work', *run(), CONFIG)


@pytest.fixture
def plot(capfd):
    """Run the tool: arguments -> what it prints."""
    path = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'plot_pla.py'
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        module.main(list(map(str, arguments)))
        return capfd.readouterr().out

    return call


def panels(figure):
    return {axes.get_title() or f'of {axes.get_ylabel()}': axes for axes in figure.axes}


def lines(axes, label):
    return [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
            for line in axes.get_lines() if line.get_label() == label]


def tables(text):
    """Rows by column of each table."""
    found, block = [], []
    for row in [*text.splitlines(), '']:
        if row.startswith('|'):
            block.append([cell.strip() for cell in row[1:-1].split('|')])
        elif block:
            found.append([dict(zip(block[0], cells, strict=True)) for cells in block[2:]])
            block = []
    return found


# ---- the record ------------------------------------------------------------------------------------------------------


def test_space_and_search_come_from_the_config(folder, tmp_path):
    progress = read_progress(folder)
    assert [item['objective'] for item in progress.trials] == [.5, .2, .4, .3, math.inf, .1, .6, .7]
    assert progress.names == ['margin', 'k', 'p']
    assert progress.space.settings() == SearchSpace(SPACE).settings()
    assert isinstance(progress.search, BayesianSearch) and progress.search.history == 'cycle'
    other = tmp_path / 'other.py'
    for shown, own, expected in (('all', {}, 'all'), ('cycle', dict(history='all'), 'cycle'),
                                 ('all', dict(history='cycle'), 'cycle')):
        other.write_text(f'train_cfg = {dict(CONFIG, gp_history=shown, search=dict(SEARCH, **own))!r}')
        assert read_progress(folder, other).search.history == expected
    assert read_progress(write(tmp_path / 'bare', *run())).space is None
    other.write_text('train_cfg = dict(by_epoch=True)')
    with pytest.raises(ValueError, match='has no train_cfg.space'):
        read_progress(folder, other)
    with pytest.raises(FileNotFoundError, match='has no trial'):
        read_progress(tmp_path)


def test_the_config_is_the_newest_of_the_folder(folder):
    other = folder / 'a_first.py'
    other.write_text(f'train_cfg = {dict(CONFIG, search=dict(type="RandomSearch"))!r}')
    for age, kind in ((100, BayesianSearch), (-100, RandomSearch)):
        time = (folder / 'config.py').stat().st_mtime - age
        os.utime(other, (time, time))
        assert isinstance(read_progress(folder).search, kind)


def test_a_written_config_says_the_same(folder, tmp_path):
    """Writing sorts the keys."""
    mine = dict(read=read_progress(folder))
    Config(dict(train_cfg=CONFIG)).dump(folder / 'config.py')
    mine['written'] = read_progress(folder)
    for progress in mine.values():
        assert progress.names == list(progress.space.names) == ['margin', 'k', 'p']
    beliefs = [progress.belief(2).expected_improvement(np.full((1, 3), .5)) for progress in mine.values()]
    assert beliefs[0] == beliefs[1]


def test_names_follow_the_space(tmp_path):
    turned = [dict(line, values=dict(reversed(line['values'].items()))) for line in run()[0]]
    assert read_progress(write(tmp_path / 'bare', turned, [])).names == ['p', 'k', 'margin']
    assert read_progress(write(tmp_path / 'work', turned, [], CONFIG)).names == ['margin', 'k', 'p']


def test_time(folder):
    progress = read_progress(folder)
    # The two trials of the third cycle, of 2 and 4 s, ran side by side.
    assert time_shares(progress) == {1: (12, 28), 2: (13, 27), 3: (4, 0)}
    assert exploring_share(progress) == pytest.approx(29 / 84)


def test_of_trials_side_by_side_the_longest_counts():
    def lines_of(*turns):
        return [dict(seconds=seconds, processes=len(turn)) for turn in turns for seconds in turn]

    assert exploring_seconds(lines_of((3., 5.), (4., 1.), (7., ))) == 5 + 4 + 7
    assert exploring_seconds([dict(seconds=2.), dict(seconds=None), dict(seconds=3.)]) == 5
    assert exploring_seconds([]) == 0


# ---- the picture -----------------------------------------------------------------------------------------------------


def test_objectives_and_values(folder):
    figure = draw_progress(read_progress(folder))
    found = panels(figure)
    objectives = found['objective of the trials']
    assert lines(objectives, 'cycle 1') == [([1, 2, 3], [.5, .2, .4])]
    assert lines(objectives, 'cycle 2') == [([4, 6], [.3, .1])]
    assert lines(objectives, 'cycle 3') == [([7, 8], [.6, .7])]
    assert lines(objectives, '_failed') == [([5], [.97])]
    lowest = [tuple(path.vertices[0]) + tuple(path.vertices[1]) for item in objectives.collections
              for path in item.get_paths()]
    assert lowest == [pytest.approx(row) for row in ((.6, .2, 3.4, .2), (3.6, .1, 6.4, .1), (6.6, .6, 8.4, .6))]
    numbers = [1, 1, 1, 2, 2, 2, 3, 3]
    for name, chosen in (('margin', [.05, .2]), ('k', [6, 2]), ('p', [8, 3])):
        assert lines(found[name], 'tried') == [(numbers, [SETS[place][name] for place in (0, 1, 2, 0, 1, 2, 0, 1)])]
        assert lines(found[name], 'chosen') == [([1, 2], chosen)]
    assert found['k'].get_ylim() == pytest.approx((.65, 8.35))
    assert [text.get_text() for text in objectives.get_legend().get_texts()] == ['cycle 1', 'cycle 2', 'cycle 3']
    objectives.set_xlim(.9, 2.1)  # closer than whole numbers lie
    assert all(tick == round(tick) for tick in objectives.get_xticks())
    assert [bar.get_height() for bar in found['seconds'].patches] == [12, 13, 4, 28, 27, 0]
    assert '34.5 %' in found['seconds'].get_xlabel()


@pytest.mark.parametrize('number, rows', [(None, slice(3, 6)), (1, slice(0, 3))])
def test_belief_is_that_of_the_choice(folder, number, rows):
    """The failed trial counts as the worst, .3, and trials of other cycles do not count."""
    progress = read_progress(folder)
    chosen = progress.cycles[0 if number else 1]
    space, search = progress.space, BayesianSearch()
    figure = draw_progress(progress, cycle=number)
    titles = [axes.get_title() for axes in figure.axes]
    observations = [dict(item, cycle=5) for item in progress.trials[rows]]
    for name in ('margin', 'k', 'p'):
        place = titles.index(f'belief after cycle {chosen["cycle"]}: {name}')
        axes = figure.axes[place]
        improvement, = [item for item in figure.axes if item is not axes
                        and item.get_position().bounds == axes.get_position().bounds]
        (xs, means), = lines(axes, 'mean')
        (_, gains), = lines(improvement, 'EI')
        band = {tuple(vertex) for vertex in axes.collections[0].get_paths()[0].vertices}
        assert len(xs) == dict(margin=101, k=8, p=16)[name]
        for x, mean, gain in list(zip(xs, means, gains))[::3]:
            values = dict(chosen['values'], **{name: round(x) if name != 'margin' else min(x, .3)})
            expected = search.explain(space, observations, values)
            assert (mean, gain) == pytest.approx((expected['mean'], expected['expected_improvement']), rel=1e-6)
            edges = sorted(y for place, y in band if place == x)
            assert [edges[0], edges[-1]] == pytest.approx([mean - expected['std'], mean + expected['std']], abs=1e-6)
        assert lines(axes, '_chosen')[0][0] == [chosen['values'][name]] * 2
    # A map of the first two parameters; the third has no partner.
    place, = [row for row, title in enumerate(titles) if title.startswith('EI after')]
    axes = figure.axes[place]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('margin', 'k')
    found = np.asarray(axes.collections[0].get_array()).reshape(8, 101)
    for k, column in ((1, 0), (5, 50), (8, 100)):
        margin = [-.1, .1, .3][column // 50]
        expected = search.explain(space, observations, dict(chosen['values'], margin=margin, k=k))
        assert found[k - 1, column] == pytest.approx(expected['expected_improvement'], rel=1e-6)


def test_belief_does_not_see_later_cycles(folder):
    """Also where all up to it count."""
    progress = read_progress(folder)
    search = BayesianSearch(history='all')
    everything = dataclasses.replace(progress, search=search)
    at = np.array([[.5, .5, .5]])
    for number, rows in ((1, slice(0, 3)), (2, slice(0, 6))):
        mean, std = search.fit(progress.space, progress.trials[rows]).process.predict(at)
        assert everything.belief(number).process.predict(at) == (mean, std)
        assert len(everything.belief(number).points) == rows.stop


def test_slices():
    places, points = slice_points(SearchSpace(SPACE), dict(margin=.2, k=4, p=16), 'k')
    assert places.tolist() == list(range(1, 9))
    assert points[:, 1].tolist() == pytest.approx([n / 7 for n in range(8)])
    assert points[:, [0, 2]].tolist() == [pytest.approx([.75, 1.])] * 8


def test_runs_without_belief_or_choice(tmp_path):
    trials, cycles = run()
    for name, lines_of, config, more in (
            ('random', (trials, cycles), dict(CONFIG, search=dict(type='RandomSearch')), 0),
            ('bare', (trials, cycles), None, 0), ('begun', (trials[:2], []), CONFIG, 0),
            ('failed', ([trial(1, 1, None)], [cycle(1, SETS[0])]), CONFIG, 0),
            ('one', ([trial(1, 1, .1)], [cycle(1, SETS[1])]), CONFIG, 3 + 3 + 1 + 1)):
        progress = read_progress(write(tmp_path / name, *lines_of, config))
        path = tmp_path / 'one.png' if name == 'one' else None  # drawing takes a second
        assert len(draw_progress(progress, path).axes) == 5 + more, name  # a slice has two, the map a bar of colours
    assert (tmp_path / 'one.png').read_bytes()[:4] == b'\x89PNG'
    assert isinstance(read_progress(tmp_path / 'random').search, RandomSearch)
    with pytest.raises(ValueError, match='cycle 2 has chosen no set; those that have: none yet'):
        draw_progress(read_progress(tmp_path / 'begun'), cycle=2)
    quick = write(tmp_path / 'quick', [dict(trial(1, 1, .1), seconds=0.)], [])
    assert math.isnan(exploring_share(read_progress(quick)))


# ---- the tool --------------------------------------------------------------------------------------------------------


def test_the_tool_prints_and_draws(folder, plot, tmp_path):
    printed = plot(folder, '--markdown', tmp_path / 'out' / 'pla.md')
    cycles, trials = tables(printed)
    assert (folder / 'pla' / 'progress.png').read_bytes()[:4] == b'\x89PNG'
    assert tables((tmp_path / 'out' / 'pla.md').read_text()) == [cycles, trials]
    assert cycles[1] == {'cycle': '2', 'trials': '3 (1 failed)', 'lowest objective': '0.1000', 'margin': '0.2',
                         'k': '2', 'p': '3', 'EI': '0.1000', 'epochs': '11-20', 'lowest loss': '0.5000',
                         'exploring (s)': '13.0', 'exploiting (s)': '27.0', 'exploring %': '32.5'}
    assert cycles[2]['k'] == cycles[2]['epochs'] == cycles[2]['EI'] == '' and cycles[2]['exploring (s)'] == '4.0'
    assert [row['objective'] for row in trials] == ['0.5000', '0.2000 *', '0.4000', '0.3000', 'failed', '0.1000 *',
                                                    '0.6000 *', '0.7000']
    assert trials[4] == {'cycle': '2', 'trial': '2', 'margin': '0.1', 'k': '8', 'p': '4', 'first loss': '6.0000',
                         'last loss': '5.0000', 'objective': 'failed', 'seconds': '4.0', 'note': 'the loss became NaN'}
    assert 'exploring: 34.5 %' in printed


def test_the_tool_without_a_config(plot, tmp_path):
    printed = plot(write(tmp_path / 'work', run()[0][:1], []), '--out', tmp_path / 'a.pdf')
    assert 'no config with train_cfg.space lies in' in printed and '--config names one' in printed
    assert (tmp_path / 'a.pdf').is_file()


@pytest.mark.parametrize('arguments, words', [
    (('--out', 'picture.txt'), '--out must name a file that ends in'), (('--cycle', '3'), 'cycle 3 has chosen no set'),
    (('--markdown', 'a.txt'), '--markdown must name'), (('--config', 'nowhere.py'), 'nowhere.py')])
def test_mistakes_are_said_in_one_line(folder, plot, arguments, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        plot(folder, *arguments)
    assert words in str(end.value) and '\n' not in str(end.value)
