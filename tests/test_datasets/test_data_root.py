import os.path as osp

import pytest

from mmreid.datasets.data_root import DATA_ROOT_ENV, require_folders, resolve_data_root


@pytest.mark.parametrize('root, expected', [
    ('data/Market-1501-v15.09.15', '/x/Market-1501-v15.09.15'),
    ('data/Market-1501-v15.09.15/', '/x/Market-1501-v15.09.15'),
    ('./data/M', '/x/M'),
    ('data', '/x'),
    ('elsewhere/M', 'elsewhere/M'),
    ('database/M', 'database/M'),
    ('/data/M', '/data/M'),
])
def test_environment_variable_moves_data(monkeypatch, root, expected):
    monkeypatch.setenv(DATA_ROOT_ENV, '/x')
    assert resolve_data_root(root) == expected


def test_without_the_variable_roots_stay(monkeypatch):
    monkeypatch.delenv(DATA_ROOT_ENV, raising=False)
    assert resolve_data_root('data/M') == 'data/M'
    assert resolve_data_root('~/M') == osp.expanduser('~/M')


def message(root, configured='data/M'):
    with pytest.raises(FileNotFoundError) as error:
        require_folders(str(root), ['train', 'query'], dataset='Mini', tree='  M\n  └── train', configured=configured)
    return str(error.value)


@pytest.fixture
def tree(tmp_path):
    for folder in ('train', 'query'):
        (tmp_path / 'data' / 'M' / folder).mkdir(parents=True)
    return tmp_path / 'data' / 'M'


def test_complete_tree_passes(tree):
    require_folders(str(tree), ['train', 'query'], dataset='Mini', tree='', configured='')


def test_missing_root_says_what_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_ENV, str(tmp_path))
    text = message(tmp_path / 'M')
    for part in (f'"{tmp_path / "M"}" does not exist', "data_root='data/M'", f'{DATA_ROOT_ENV}={tmp_path}',
                 '└── train', 'docs/en/datasets.md'):
        assert part in text


def test_missing_folder_is_named(tree):
    (tree / 'query').rmdir()
    text = message(tree)
    assert "has no folder 'query'" in text and "'train'" not in text.splitlines()[0]


@pytest.mark.parametrize('wrong', ['', 'M/train', 'N', 'M/none'])
def test_wrong_level_suggests_the_right_one(tree, wrong):
    if wrong == 'N':
        (tree.parent / 'N').mkdir()
    assert f'Did you mean data_root={str(tree)!r}' in message(tree.parent / wrong)


def test_file_instead_of_folder(tree):
    (tree.parent / 'file').write_text('')
    assert 'is not a folder' in message(tree.parent / 'file')
