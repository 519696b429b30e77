"""The cost report, against numbers worked out by hand."""

import csv
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from mmreid.visualization import draw_costs
from tests.test_analysis_tools.test_get_flops import CONFIG, MULT_ADDS, PARAMS, PARTS, table_rows

FOLDER = Path(__file__).parents[2] / 'tools/analysis_tools'
SPEC = importlib.util.spec_from_file_location('cost_report', FOLDER / 'cost_report.py')
cost_report = importlib.util.module_from_spec(SPEC)
sys.path.insert(0, str(FOLDER))  # as for a program that is started there
SPEC.loader.exec_module(cost_report)
sys.path.remove(str(FOLDER))

PIPELINE = """
test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize', scale=({}, {})), dict(type='PackReIDInputs')]))
"""
RESULT = '''
      - Dataset: {}
        Metrics: {{mAP: {}, rank-1: 99.0}}
        Published: {}
        Source: somewhere'''


def metafile(folder, models):
    entries = [f'\n  - Name: {name}\n    Config: configs/x/{name}.py\n    Results:'
               + (''.join(RESULT.format(*result) for result in results) or ' []') for name, results in models.items()]
    (folder / 'metafile.yml').write_text('Models:' + ''.join(entries))


@pytest.fixture
def configs(tmp_path):
    """Two configs of one network, one of another at twice the height and width; the metafile spells names its way."""
    (tmp_path / 'tiny_parts_of_get_flops.py').write_text(PARTS)
    for name, size in dict(a=(32, 64), a_duke=(32, 64), b=(64, 128), c=(32, 64)).items():
        (tmp_path / f'{name}.py').write_text(CONFIG + PIPELINE.format(*size))
    metafile(tmp_path, dict(
        a=[('Market-1501', 60., 'true'), ('Market-1501, multi-query', 90., 'true'), ('Market-1501', 31., 'false'),
           ('"Market-1501, re-ranked"', 95., 'true')],
        a_duke=[('CUHK03, detected', 40., 'true')], c=[],
        b=[('Market-1501', 70., 'true'), ('CUHK03 (detected)', 60., 'true'), ('MSMT17', 1., 'true')]))
    return tmp_path


def run(capsys, *arguments, fails=False):
    arguments = ['--device', 'cpu', *map(str, arguments)]
    if fails:
        with pytest.raises(SystemExit) as caught:
            cost_report.main(arguments)
        return str(caught.value)
    cost_report.main(arguments)
    return capsys.readouterr().out


def test_table_sheet_and_picture(capsys, configs):
    out = configs / 'new' / 'costs'
    printed = run(capsys, f'A={configs}/a.py,{configs}/a_duke.py', f'B={configs}/b.py', f'C={configs}/c.py', '--out',
                  out, '--no-memory')
    mult_adds = MULT_ADDS['backbone'] + MULT_ADDS['neck']
    params = PARAMS['backbone'] + PARAMS['neck']
    with Path(f'{out}.csv').open(newline='') as stream:
        a, b, c = csv.DictReader(stream)
    assert (a['name'], a['input'], a['params'], a['mult_adds']) == ('A', '64 x 32', str(params), str(mult_adds))
    assert a['operations'] == str(2 * mult_adds) and a['config'] == f'{configs}/a.py' and a['bytes_per_image'] == ''
    assert b['input'] == '128 x 64' and b['mult_adds'] == str(4 * MULT_ADDS['backbone'] + MULT_ADDS['neck'])
    # The mean over what A and B share; MSMT17, several queries and re-ranking do not count, nor what was measured.
    assert (float(a['accuracy']), float(b['accuracy']), c['accuracy']) == (50, 65, '')
    assert a['datasets'] == b['datasets'] == 'cuhk03 detected; market 1501'
    rows = table_rows(Path(f'{out}.md').read_text())
    assert rows['method'][-1] == 'mAP (%)' and [rows[name][-1] for name in 'ABC'] == ['50.0', '65.0', 'n/a']
    assert rows['A'][5] == 'n/a' and 'Memory on' not in printed
    assert 'mean over cuhk03 detected, market 1501; published in the metafiles.' in printed
    assert Path(f'{out}.md').read_text() in printed and Path(f'{out}.png').read_bytes()[:4] == b'\x89PNG'


def test_measured_results(capsys, configs):
    printed = run(capsys, f'A={configs}/a.py,{configs}/a_duke.py', f'B={configs}/b.py', '--accuracy', 'measured',
                  '--out', configs / 'costs', '--no-memory', '--metric', 'rank-1')
    assert [table_rows(printed)[name][-1] for name in 'AB'] == ['99.0', 'n/a'] and 'mean over market 1501' in printed


def test_given_results_take_the_place_of_the_metafile(capsys, configs):
    (configs / 'given.json').write_text(json.dumps(dict(C=dict(market_1501=80), A={'Market-1501': 20.5})))
    printed = run(capsys, f'A={configs}/a.py', f'B={configs}/b.py', f'C={configs}/c.py', '--results',
                  configs / 'given.json', '--out', configs / 'costs', '--no-memory')
    assert [table_rows(printed)[name][-1] for name in 'ABC'] == ['20.5', '70.0', '80.0']


def test_memory_is_that_of_a_new_process(capsys, configs):
    """The outputs of both convolutions are alive together, see test_get_flops; per image the input comes on top."""
    out = configs / 'costs'
    printed = run(capsys, f'A={configs}/a.py', '--batch-size', 256, '--out', out, '--shape', 64, 32)
    with Path(f'{out}.csv').open(newline='') as stream:
        row, = csv.DictReader(stream)
    if not row['bytes_per_image']:
        pytest.skip('this system does not tell the peak of the resident set')
    outputs, image = 4 * (16 * 64 * 32 + 8 * 32 * 16), 4 * 3 * 64 * 32
    assert 0.97 * outputs < float(row['bytes_per_image']) - image < 1.5 * outputs
    assert float(row['batch_bytes']) == pytest.approx(
        256 * float(row['bytes_per_image']) + int(row['weights_bytes']))
    assert 'batch of 256 (MB)' in printed and 'growth of the resident set of a new process' in printed


def test_without_an_accuracy_there_is_no_picture(capsys, configs):
    printed = run(capsys, f'C={configs}/c.py', '--out', configs / 'costs', '--no-memory')
    assert 'No accuracy' in printed and 'no picture' in printed and not (configs / 'costs.png').exists()


def test_the_picture_of_earlier_numbers_does_not_stay(capsys, configs):
    out = configs / 'costs'
    run(capsys, f'A={configs}/a.py', '--out', out, '--no-memory')
    assert Path(f'{out}.png').is_file()
    run(capsys, f'C={configs}/c.py', '--out', out, '--no-memory')
    assert not Path(f'{out}.png').exists() and 'C' in table_rows(Path(f'{out}.md').read_text())


@pytest.mark.parametrize('arguments, message', [
    (['a.py'], "must be NAME=CONFIG.*'a.py'"), (['A='], 'must be NAME=CONFIG'),
    (['A={}/a.py', 'A={}/b.py'], "two rows named 'A'"),
    (['A={}/a.py', '--results', '{}/wrong.json'], 'wrong.json must be'),
    (['A={}/a.py', '--results', '{}/other.json'], r"results of \['Z'\], and the rows are \['A'\]"),
    (['A={}/a.py', '--results', '{}/broken.json'], 'broken.json is no JSON: Expecting'),
    (['A={}/a.py', '--results', '{}/nan.json'], 'nan.json must have percentages from 0 to 100, and A has nan on M'),
    (['A={}/a.py', '--results', '{}/large.json'], 'large.json must have percentages .*, and A has 101 on M'),
    (['A={}/a.py', '--results', '{}/both.json'], 'both.json has a data set of A twice: Market-1501, market 1501'),
    (['A={}/b.py', '--metric', 'map'], 'no result of the metafiles has --metric map; those there are: mAP, rank-1'),
    (['A={0}/b.py,{0}/b2.py'], "b2.py and an earlier config of the row 'A' both have results on market 1501: "),
    (['A={}/none.py'], 'none.py of the row .A. does not exist'),
    (['A={0}/a.py,{0}/no.py'], 'Error: [^ ]*no.py of'),
    (['A={}/sizeless.py'], 'no Resize.*--shape H W'),
    (['A={}/twice.py'], 'several results of .*twice.py on Market 1501'),
])
def test_bad_input(capsys, configs, arguments, message):
    (configs / 'wrong.json').write_text('{"A": 3}')
    (configs / 'other.json').write_text('{"Z": {"Market-1501": 3}}')
    (configs / 'sizeless.py').write_text(CONFIG)
    metafile(configs, dict(twice=[('Market-1501', 60., 'true'), ('Market 1501', 61., 'true')],
                           b=[('Market-1501', 60., 'true')], b2=[('market1501', 1., 'false'),
                                                                 ('Market 1501', 61., 'true')]))
    for name, text in dict(broken='{', nan='{"A": {"M": NaN}}', large='{"A": {"M": 101}}',
                           both='{"A": {"Market-1501": 3, "market 1501": 4}}').items():
        (configs / f'{name}.json').write_text(text)
    for name in ('twice', 'b2'):
        (configs / f'{name}.py').write_text(CONFIG + PIPELINE.format(32, 64))
    text = run(capsys, *(argument.format(configs) for argument in arguments), '--out', configs / 'costs',
               '--no-memory', fails=True)
    assert re.search(message, text), text


def test_picture_shows_every_row_with_a_cost():
    rows = [dict(name='A', accuracy=50., mult_adds=2e9, params=3e6, bytes_per_image=None),
            dict(name='B', accuracy=60., mult_adds=4e9, params=5e6),
            dict(name='C', accuracy=None, mult_adds=8e9, params=9e6)]
    figure = draw_costs(rows, metric='rank-1')
    found = {axes.get_xlabel(): {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines}
             for axes in figure.axes}
    assert found == {'Mult-Adds of an image (G)': dict(A=(2, 50), B=(4, 60)),
                     'parameters (M)': dict(A=(3, 50), B=(5, 60))}
    assert all(axes.get_ylabel() == 'rank-1 (%)' for axes in figure.axes)
    assert {text.get_text() for text in figure.axes[0].texts} == {'A', 'B'}
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_costs(rows[2:])
