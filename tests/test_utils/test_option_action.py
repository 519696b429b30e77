"""Options on the command line."""

import argparse

import pytest

from mmreid.utils.option_action import OptionAction, read_literal


def parse(*values):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
    return parser.parse_args(['--cfg-options', *values]).cfg_options


def test_plain_values_are_read_as_before():
    assert parse('a.b=1', 'c=0.5', 'd=True', 'e=None', 'f=[1,2]', 'g=x,y', 'h=(1,2)', 'i=k=v') == {
        'a.b': 1, 'c': .5, 'd': True, 'e': None, 'f': [1, 2], 'g': ['x', 'y'], 'h': (1, 2), 'i': 'k=v'}


def test_blanks_stay():
    assert parse('root=/data/my cameras/a', 'p="cam (\\d+)"', 'q=[1, 2]', 'r=a, b') == {
        'root': '/data/my cameras/a', 'p': r'cam (\d+)', 'q': [1, 2], 'r': ['a', 'b']}


def test_regular_expressions_stay():
    assert parse(r'a=_c(\d{1,2})', r'b=(\d+)', 'c= /data/my x/a') == {
        'a': r'_c(\d{1,2})', 'b': r'(\d+)', 'c': '/data/my x/a'}


def test_text_with_braces_and_order():
    assert parse('a=epoch_{}.pth') == {'a': 'epoch_{}.pth'}
    assert parse('a=dict(b=1)', 'a=2') == {'a': 2} and parse('a=2', 'a=dict(b=1)') == {'a': {'b': 1}}


def test_dicts():
    assert parse("steps=[dict(type='PCA', num_components=2), {'type': 'L2Normalize'}]", 'n=3') == {
        'n': 3, 'steps': [dict(type='PCA', num_components=2), dict(type='L2Normalize')]}
    assert read_literal("dict(a=(1, -2.5), b=dict(c=[None, True]), d='{x}')") == dict(
        a=(1, -2.5), b=dict(c=[None, True]), d='{x}')


@pytest.mark.parametrize('value', ['dict(a=open("x"))', "dict(a=__import__('os'))", 'dict(a=b)', 'dict(1)',
                                   'dict(**{})', '{**{}}', 'dict(a=1', "{'a': [x for x in y]}"])
def test_only_literals(value):
    with pytest.raises(argparse.ArgumentError, match='the value of key cannot be read'):
        parse(f'key={value}')


def test_missing_value():
    with pytest.raises(argparse.ArgumentError, match="'a' must have the form KEY=VALUE"):
        parse('a')
