"""The files that outlive a run."""

import json
import math

import pytest

from mmreid.engine.progressive.record import ProgressiveRecord


def trial(cycle, number, weights='a', **more):
    return dict(cycle=cycle, trial=number, weights=weights, values=dict(k=number), losses=[2.0, 1.5], objective=.1,
                **more)


def test_what_is_written_is_read(tmp_path):
    record = ProgressiveRecord(tmp_path)
    assert (record.trials, record.cycles, record.files) == ([], [], [])
    bad = dict(trial(1, 2), objective=math.inf, losses=[2.0, math.nan], note='NaN')
    record.add_trials([trial(1, 1)])
    record.add_trials([bad])
    record.set_cycle(1, values=dict(k=1), lowest_loss=None)
    record.set_cycle(1, lowest_loss=1.5)
    again = ProgressiveRecord(tmp_path)
    assert again.trials[0] == trial(1, 1) and again.trials[1]['objective'] == math.inf
    assert again.trials[1]['losses'][0] == 2.0 and math.isnan(again.trials[1]['losses'][1])
    assert again.cycles == [dict(cycle=1, values=dict(k=1), lowest_loss=1.5)]
    assert again.cycle(1)['lowest_loss'] == 1.5 and again.cycle(2) == {}
    unread = ProgressiveRecord(tmp_path, read=False)
    assert (unread.trials, unread.cycles) == ([], []) and unread.files == again.files
    lines = [json.loads(line, parse_constant=lambda name: pytest.fail(f'{name} is no JSON'))
             for line in (tmp_path / 'pla' / 'trials.jsonl').read_text().splitlines()]
    assert lines[1]['objective'] is None and lines[1]['losses'] == [2.0, None]
    assert {path.name for path in again.files} == {'trials.jsonl', 'cycles.jsonl'}


def test_trials_are_found_by_their_weights_and_without_a_gap(tmp_path):
    record = ProgressiveRecord(tmp_path)
    record.add_trials([trial(1, 1), trial(1, 2), trial(2, 1, 'b'), trial(2, 2, 'c'), trial(2, 3, 'b')])
    assert [line['trial'] for line in record.trials_of(1, 'a')] == [1, 2]
    assert [line['trial'] for line in record.trials_of(2, 'b')] == [1]
    assert record.trials_of(1, 'b') == record.trials_of(2, 'c') == []


def test_going_back_drops_what_comes_later(tmp_path):
    record = ProgressiveRecord(tmp_path)
    record.add_trials([trial(1, 1), trial(1, 2), trial(2, 1), trial(2, 2), trial(3, 1)])
    for number in (1, 2, 3):
        record.set_cycle(number, values=dict(k=number))
    assert record.go_back(2, record.trials_of(2, 'a')[:1], exploits=False) == 2
    again = ProgressiveRecord(tmp_path)
    assert [(line['cycle'], line['trial']) for line in again.trials] == [(1, 1), (1, 2), (2, 1)]
    assert [line['cycle'] for line in again.cycles] == [1]
    record.set_cycle(2, values=dict(k=2))
    assert record.go_back(2, record.trials_of(2, 'a'), exploits=True) == 0
    assert [line['cycle'] for line in ProgressiveRecord(tmp_path).cycles] == [1, 2]


def test_an_earlier_cycle_drops_later_lines(tmp_path):
    record = ProgressiveRecord(tmp_path)
    record.set_cycle(1, a=1)
    record.set_cycle(2, a=2)
    record.set_cycle(1, b=3)
    assert ProgressiveRecord(tmp_path).cycles == [dict(cycle=1, a=1, b=3)]


@pytest.mark.parametrize('text', ['{"cycle": 1', '[1, 2]', '{"trial": 1}', '{"cycle": "one"}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / 'pla').mkdir()
    (tmp_path / 'pla' / 'trials.jsonl').write_text('{"cycle": 1, "trial": 1}\n' + text)
    with pytest.raises(ValueError, match=r'line 2 of .*trials\.jsonl is no record'):
        ProgressiveRecord(tmp_path)
