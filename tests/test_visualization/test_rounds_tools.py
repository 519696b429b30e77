"""The tool that draws rounds, and the picture that a training in rounds leaves."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmreid.visualization import draw_finished_rounds, read_rounds
from tests.test_engine.test_pseudo_labels import options
from tests.test_engine.toy import toy_config

from .rounds_records import record, run

ROOT = Path(__file__).parents[2]


def tool(name):
    """A file below ``tools/`` as a module."""
    path = ROOT / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plot(capfd):
    """Run the tool: arguments -> what it prints."""

    def call(*arguments):
        tool('visualization/plot_rounds').main(list(map(str, arguments)))
        return capfd.readouterr().out

    return call


@pytest.fixture
def folder(tmp_path):
    """Make a work directory: name, records -> its path."""

    def make(name, records):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / 'rounds.json').write_text(json.dumps(records))
        return tmp_path / name

    return make


def tables(printed):
    """Cells of all tables: a list of dicts by column for each."""
    found = []
    for block in printed.split('\n\n'):
        lines = [[cell.strip() for cell in line[1:-1].split('|')] for line in block.splitlines() if line[:1] == '|']
        if lines:
            found.append([dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]])
    return found


def test_table_and_picture_of_one_run(folder, plot):
    work_dir = folder('mine', run(3))
    printed = plot(work_dir)
    assert (work_dir / 'rounds.png').read_bytes().startswith(b'\x89PNG') and str(work_dir / 'rounds.png') in printed
    rows, = tables(printed)
    assert printed.startswith('mine\n') and [row['round'] for row in rows] == ['0', '1', '2', '3']
    assert [row['mAP'] for row in rows] == ['15.00', '21.00', '22.00', '']  # the last round is not evaluated yet
    assert rows[2] == {'round': '2', 'selected %': '2.0', 'clusters': '98', 'size median/min/max': '5.5/1/42',
                       'selected median/min/max': '2/1/9', 'iterations': '12', 'inertia': '2000', 'purity': '0.520',
                       'NMI': '0.620', 'precision': '0.120', 'recall': '0.220', 'mAP': '22.00', 'rank-1': '42.00'}
    assert set(rows[0].values()) == {'0', '', '15.00', '30.00'}


def test_seeds_have_one_name(folder, plot, tmp_path):
    dirs = [folder(f'{name}/s{seed}', run(3 + seed, offset)) for name, seed, offset in
            (('pul', 0, 0), ('pul', 1, 2), ('all', 0, 50))]
    printed = plot(*dirs, '--names', 'PUL', 'PUL', 'no selection', '--out', tmp_path / 'both.svg')
    assert (tmp_path / 'both.svg').read_text().startswith('<?xml')
    pul, other = tables(printed)
    assert printed.startswith('PUL, mean (smallest-largest) of 2 runs\n') and '\nno selection\n' in printed
    assert [row['round'] for row in pul] == ['0', '1', '2', '3']
    assert pul[1]['selected %'] == '2.0 (1.0-3.0)' and pul[1]['mAP'] == '22.00 (21.00-23.00)'
    assert pul[1]['size median/min/max'] == '6.5/1/41' and pul[3]['mAP'] == ''
    assert other[1]['selected %'] == '51.0'


def test_runs_are_no_seeds_unless_named_so(folder, plot, tmp_path, monkeypatch):
    dirs = [folder(f'{name}/s0', run(2, offset)) for offset, name in enumerate(('a', 'b'))]
    monkeypatch.chdir(tmp_path)
    printed = plot(*dirs)
    assert len(tables(printed)) == 2 and f'{dirs[0]}\n' in printed and 'mean' not in printed
    assert (tmp_path / 'rounds.png').is_file()  # in none of the two


def test_columns_of_what_is_there(folder, plot):
    records = [dict(round=1, fraction=.5, num_clusters=3, metrics={'market1501/mAP': 1, 'nd/mAP': 2})]
    rows, = tables(plot(folder('density', records) / 'rounds.json'))
    assert rows == [{'round': '1', 'selected %': '50.0', 'clusters': '3', 'market1501/mAP': '1.00', 'nd/mAP': '2.00'}]


def test_reader_that_goes_away_gets_the_picture(folder):
    """``| head`` must not prevent drawing."""
    work_dir = folder('mine', run(3))
    command = f'{sys.executable} {ROOT}/tools/visualization/plot_rounds.py {work_dir} | true'
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert 'Traceback' not in done.stderr and (work_dir / 'rounds.png').is_file()


@pytest.mark.parametrize('arguments, message', [
    (('A', 'B', '--names', 'x'), '2 work directories, 1 names'), (('A', 'A/../A'), 'given twice'),
    (('EMPTY', ), 'there is no .*rounds.json'), (('BROKEN', ), 'BROKEN.rounds.json is damaged'),
    (('A', 'nowhere'), 'there is no nowhere'), (('A', '--out', 'x.jpg'), 'ends in .png or .pdf or .svg'),
    (('A/rounds.json', '--out', 'A'), '--out must name a file'), (('BARE', ), 'nothing to draw')])
def test_mistakes_are_one_line(folder, plot, tmp_path, monkeypatch, arguments, message):
    for name in 'AB':
        folder(name, run(2))
    folder('BARE', [dict(round=1)])
    (tmp_path / 'EMPTY').mkdir()
    (folder('BROKEN', []) / 'rounds.json').write_text(json.dumps(run(3))[:-40])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        plot(*arguments)
    assert re.search(message, str(caught.value)) and '\n' not in str(caught.value)
    assert not list(tmp_path.rglob('rounds.png'))


# ---- after a training --------------------------------------------------------------------------------------------


@pytest.fixture
def train(tmp_path):
    """Run a short training in rounds through the command: options -> its log."""

    def call(work_dir, **more):
        changes = options(hook=dict(more), train_cfg__max_epochs=4)
        changes['custom_hooks'] = changes['custom_hooks'][:1]
        toy_config('unused', **changes).dump(tmp_path / 'toy.py')
        tool('train').main([str(tmp_path / 'toy.py'), '--work-dir', str(work_dir)])
        log, = work_dir.glob('*/*.log')
        return log.read_text()

    return call


def test_training_leaves_a_picture(tmp_path, train, plot):
    work_dir = tmp_path / 'pul'
    log = train(work_dir)
    assert (work_dir / 'rounds.png').read_bytes().startswith(b'\x89PNG') and 'were not drawn' not in log
    records = read_rounds(work_dir)
    assert [item['round'] for item in records] == [1, 2] and all(len(item['selection_curve']) == 10 for item in records)
    rows, = tables(plot(work_dir))
    assert [row['mAP'] for row in rows[-2:]] == [f'{item["metrics"]["market1501/mAP"]:.2f}' for item in records]


def test_training_ends_well_where_nothing_can_be_drawn(tmp_path, train):
    work_dir = tmp_path / 'pul'
    (work_dir / 'rounds.png').mkdir(parents=True)
    log = train(work_dir)
    assert 'WARNING' in log and 'The rounds were not drawn: IsADirectoryError' in log and 'plot_rounds.py' in log
    assert (work_dir / 'round_2.pth').is_file() and len(read_rounds(work_dir)) == 2


def test_other_trainings_leave_none(tmp_path):
    draw_finished_rounds(tmp_path)
    assert not list(tmp_path.iterdir())
    for folder in (tmp_path, tmp_path / 'stage'):
        folder.mkdir(exist_ok=True)
        (folder / 'rounds.json').write_text(json.dumps([record(1)]))
    draw_finished_rounds(tmp_path)
    assert (tmp_path / 'rounds.png').is_file() and not (tmp_path / 'stage' / 'rounds.png').exists()
    draw_finished_rounds(tmp_path, stages=True)
    assert (tmp_path / 'stage' / 'rounds.png').is_file()
