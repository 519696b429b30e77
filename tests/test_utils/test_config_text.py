"""An entry of a config's text: read as it was written, and never run."""

import pytest
from mmengine.config import Config

from mmreid.utils.config import ConfigError
from mmreid.utils.config_text import literal_entry

VALUES = [
    dict(type='EmbeddingNet', backbone=dict(depth=18, out_indices=(5, ), init_cfg=None)),
    dict(mean=[123.675, -1.5, 0], flag=True, none=None, nested=[dict(a=(1, (2, 3)), b=[])], empty=dict()),
    {'two words': 1, 'a.b': dict(c='it\'s "quoted"'), 'line': 'one\ntwo', 'umlaut': 'ü'},
    {1: 'a number as a key', 'x': 1e-07, 'big': 10**20},
    dict(margin=float('inf'), low=-float('inf')),
    'text', -3, None, [], ('a', ),
]


@pytest.mark.usefixtures('yapf_formats')
@pytest.mark.parametrize('value', VALUES, ids=repr)
def test_what_a_config_writes_is_read_back(value):
    text = Config(dict(before=1, model=value, after=dict(model='another'))).pretty_text
    assert literal_entry(text, 'model') == value


def test_the_last_assignment_counts():
    assert literal_entry("model = 1\nother = 2\nmodel = dict(a=3)\n", 'model') == dict(a=3)


@pytest.mark.parametrize('expression', [
    '__import__("os").system("true")', 'open("x")', 'dict(**{"a": 1})', 'dict([("a", 1)])', 'list((1, 2))', '1 + 1',
    '[i for i in (1, 2)]', 'lambda: 1', 'other', 'dict(a=other.b)', 'f"{other}"', '{**other}', '[*other]', '-"a"',
    '...', 'dict({"a": 1}, b=2)', 'dict(a=(lambda: 1)())', '(x := 3)', '{1, 2}', '1j',
])
def test_anything_but_plain_values_is_refused(expression):
    with pytest.raises(ConfigError, match='line 2 of the config text is more than plain values'):
        literal_entry(f'other = 1\nmodel = {expression}', 'model')


@pytest.mark.parametrize('text, reason', [
    ('', 'no entry "model"'), ('models = 1', 'no entry'), ('model += 1', 'no entry'),
    ('model = (', 'could not be parsed'), ('model = "\0"', 'could not be parsed'),
    ('model = {[]: 1}', 'could not be parsed'), ('model = ' + '[' * 2000 + ']' * 2000, 'could not be parsed')])
def test_text_without_the_entry(text, reason):
    with pytest.raises(ConfigError, match=reason):
        literal_entry(text, 'model')
