"""The picture of the rounds of pseudo labels, read back from its axes."""

import json
import threading

import numpy as np
import pytest

from mmreid.engine.pseudo_rounds import RoundRecords
from mmreid.pseudo_labels import SelfPacedKMeans
from mmreid.visualization import draw_rounds, read_rounds

from .rounds_records import THRESHOLDS, record, run

CURVE = 'images that a threshold selects (%)'


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def lines(axes):
    """Labelled lines: ``{label: {x: y}}``."""
    return {line.get_label(): dict(zip(*map(np.ndarray.tolist, map(np.asarray, line.get_data()))))
            for line in axes.get_lines() if not line.get_label().startswith('_')}


def hidden(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_every_number_of_a_run_is_drawn():
    figure = draw_rounds({'PUL': run(4)})
    found = {title: lines(axes) for title, axes in panels(figure).items()}
    rounds = (1, 2, 3, 4)
    expected = {
        'images selected (%)': {n: n for n in rounds}, 'clusters alive': {n: 100 - n for n in rounds},
        'iterations of k-means': {n: 10 + n for n in rounds}, 'inertia of k-means': {n: 1000 * n for n in rounds},
        'purity': {n: .5 + n / 100 for n in rounds}, 'NMI': {n: .6 + n / 100 for n in rounds},
        'precision of pairs': {n: .1 + n / 100 for n in rounds}, 'recall of pairs': {n: .2 + n / 100 for n in rounds},
        'mAP (%), market1501': {0: 15, 1: 21, 2: 22, 3: 23}, 'rank-1 (%), market1501': {0: 30, 1: 41, 2: 42, 3: 43}}
    assert set(found) == {*expected, 'images of a cluster', 'selected images of a cluster', CURVE}
    for title, values in expected.items():
        assert found[title] == {'PUL': pytest.approx(values)}, title
    assert found['images of a cluster'] == {'PUL: median': dict.fromkeys(rounds, 5.5),
                                            'PUL: min': dict.fromkeys(rounds, 1),
                                            'PUL: max': {n: 40 + n for n in rounds}}
    assert found['selected images of a cluster']['PUL: max'] == dict.fromkeys(rounds, 9)
    assert figure.legends[0].get_texts()[0].get_text() == 'PUL'


def test_value_before_the_first_round_goes_across():
    found = panels(draw_rounds({'a': run(2), 'b': run(2, offset=3), 'c': run(2, offset=5, before=False)}))
    across = hidden(found['mAP (%), market1501'], '_before')
    assert [line.get_ydata()[0] for line in across] == [15, 18] and {line.get_ydata()[1] for line in across} == {15, 18}
    assert lines(found['mAP (%), market1501'])['c'] == {1: 26}
    assert not hidden(found['purity'], '_before')


@pytest.mark.parametrize('rounds, chosen', [(1, dict(last=1)), (2, dict(last=2, first=1)),
                                            (3, dict(last=3, first=1, middle=2)),
                                            (6, dict(last=6, first=1, middle=3))])
def test_selection_curves_of_some_rounds(rounds, chosen):
    axes = panels(draw_rounds({'PUL': run(rounds)}))[CURVE]
    assert lines(axes) == {f'PUL: {part}': pytest.approx({x: 100 - x * number for x in THRESHOLDS})
                           for part, number in chosen.items()}
    assert legend(axes) == [f'round {number}' for number in chosen.values()]


def test_several_names_have_colours_of_their_own():
    figure = draw_rounds({'PUL': run(3), 'density': run(5, offset=2)})
    for title, axes in panels(figure).items():
        colours = {}
        for line in axes.get_lines():
            if not line.get_label().startswith('_'):
                colours.setdefault(line.get_label().split(':')[0], set()).add(line.get_color())
        assert colours == {'PUL': {'C0'}, 'density': {'C1'}}, title
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['PUL', 'density']
    assert lines(panels(figure)['purity'])['density'] == pytest.approx({n: .52 + n / 100 for n in range(1, 6)})
    assert legend(panels(figure)[CURVE]) == ['last round', 'round 1', 'middle round']


def test_seeds_become_a_mean_in_a_band():
    seeds = [run(5), run(3, offset=1), run(4, offset=5)]
    figure = draw_rounds({'PUL': seeds, 'one': [run(2)]})
    axes = panels(figure)['images selected (%)']
    assert lines(axes) == {'PUL': pytest.approx({1: 3, 2: 4, 3: 5}), 'one': {1: 1, 2: 2}}  # rounds that all have
    band, = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9).tolist()}
    assert corners == {(n, n + offset) for n in (1, 2, 3) for offset in (0, 5)}
    assert [np.round(line.get_ydata(), 9).tolist() for line in hidden(axes, '_seed')] == [[1, 2, 3, 4, 5], [2, 3, 4],
                                                                                         [6, 7, 8, 9]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['PUL (mean of 3)', 'one']
    assert lines(panels(figure)['mAP (%), market1501'])['PUL'] == {0: 17, 1: 23, 2: 24}


def test_panels_without_data_are_left_out():
    """Density clusters of people nobody knows: no k-means, no quality, no validation."""
    records = [dict(round=n, fraction=.3, num_clusters=0, cluster_size=dict(min=0, median=0., max=0)) for n in (1, 2)]
    records[1].update(quality=dict(purity=float('nan'), nmi=None), metrics={}, inertia=True, selection_curve=[])
    assert set(panels(draw_rounds({'a': records}))) == {'images selected (%)', 'clusters alive', 'images of a cluster'}
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_rounds({'a': [dict(round=1)], 'b': [[dict(round=1)], []]})
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_rounds({})


def test_a_run_without_a_quantity_leaves_it_to_the_others():
    bare = [dict(round=1, fraction=.3), dict(round=2, fraction=.4)]
    figure = draw_rounds({'a': bare, 'b': [run(2), bare]})
    found = panels(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['a', 'b (mean of 2)']
    assert lines(found['purity']) == {'b': pytest.approx({1: .51, 2: .52})} and not found['purity'].collections
    assert lines(found['images selected (%)'])['b'] == pytest.approx({1: 15.5, 2: 21})


def test_several_protocols_have_panels_of_their_own():
    records = run(2)
    records[0]['metrics']['nd/mAP'] = 7.
    found = panels(draw_rounds({'a': records}))
    assert lines(found['mAP (%), nd']) == {'a': {1: 7}} and 'rank-1 (%), nd' not in found


@pytest.mark.parametrize('suffix, magic', [('png', b'\x89PNG'), ('pdf', b'%PDF'), ('svg', b'<?xml')])
def test_files(tmp_path, suffix, magic):
    path = tmp_path / 'new' / f'rounds.{suffix}'
    draw_rounds({'PUL': [run(3), run(4)], 'other': run(25)}, path)
    assert path.read_bytes().startswith(magic)


def test_sizes_that_differ_much_are_on_a_logarithmic_scale():
    found = panels(draw_rounds({'a': run(2)}))
    assert found['images of a cluster'].get_yscale() == 'log'  # 1 to 42
    assert found['selected images of a cluster'].get_yscale() == 'linear'  # 1 to 9


# ---- the file ------------------------------------------------------------------------------------------------------


def test_reading_what_the_hook_writes(tmp_path):
    RoundRecords(run(3)).write(tmp_path)
    assert read_rounds(tmp_path) == run(3) == read_rounds(str(tmp_path / 'rounds.json'))


def test_reading_while_rounds_are_written(tmp_path):
    """Each time the whole file of some moment."""
    written = [RoundRecords(run(count)) for count in (1, 40)]
    written[0].write(tmp_path)
    writer = threading.Thread(target=lambda: [written[n % 2].write(tmp_path) for n in range(60)])
    writer.start()
    found = set()
    while writer.is_alive():
        found.add(len(read_rounds(tmp_path)))
    writer.join()
    assert found and found <= {1, 40}


@pytest.mark.parametrize('text, message', [
    ('[{"round": 1, "fract', 'damaged, or copied only in part.*no JSON'), ('', 'no JSON'),
    ('{"round": 1}', 'no records of rounds'), ('[1, 2]', 'no records of rounds'),
    ('[{"epoch": 1}]', 'a number "round"'), ('[]', 'has no round yet')])
def test_files_that_are_none(tmp_path, text, message):
    (tmp_path / 'rounds.json').write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_rounds(tmp_path)
    assert str(tmp_path / 'rounds.json') in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / 'rounds.json').write_bytes(b'\xff\xfe[]')
    with pytest.raises(ValueError, match='damaged'):
        read_rounds(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='rounds.json: it is written by PseudoLabelHook'):
        read_rounds(tmp_path)


# ---- what each round records -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('select', ['own', 'any'])
def test_each_labelling_tells_what_other_thresholds_select(select):
    """The shares are those of labellers with these thresholds, on the same clusters."""
    rng = np.random.default_rng(0)
    feats = (rng.standard_normal((12, 6)).repeat(20, axis=0) + .7 * rng.standard_normal((240, 6))).astype(np.float32)
    options = dict(num_clusters=12, select=select, backend='torch')
    info = SelfPacedKMeans(threshold=.9, **options)(feats).info
    thresholds, shares = zip(*info['selection_curve'])
    assert list(thresholds) == THRESHOLDS and shares[thresholds.index(.9)] == info['fraction']
    expected = [SelfPacedKMeans(threshold=threshold, **options)(feats).fraction for threshold in THRESHOLDS]
    assert list(shares) == expected and len(set(shares)) > 5
    assert json.loads(json.dumps(info)) == info
    without = SelfPacedKMeans(threshold=None, **options)(feats).info
    assert without['selection_curve'] == info['selection_curve']


def test_recorded_curve_is_drawn():
    rng = np.random.default_rng(1)
    info = SelfPacedKMeans(5, .9)(rng.random((60, 8))).info
    axes = panels(draw_rounds({'a': [dict(record(1), **info)]}))[CURVE]
    assert lines(axes)['a: last'] == pytest.approx({x: 100 * y for x, y in info['selection_curve']})
