"""The import direction of DESIGN: a room imports from rooms below it only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = {'version': 0, 'utils': 0, 'registry': 1, 'structures': 1, 'datasets': 2, 'models': 2, 'pseudo_labels': 2,
          'evaluation': 3, 'engine': 4, 'apis': 5, 'visualization': 5}
FILES = sorted((ROOT / 'mmreid').rglob('*.py'))


def imported_modules(path: Path):
    """Absolute names of all modules that a file imports, also inside functions."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            yield '.'.join([*base, *([node.module] if node.module else [])])


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    parts = path.relative_to(ROOT / 'mmreid').parts
    room = parts[0].removesuffix('.py')
    for name in imported_modules(path):
        assert not name.startswith('mmcv.ops'), 'mmcv-lite has no mmcv.ops'
        target = name.split('.')
        if target[0] != 'mmreid' or len(target) == 1 or room == '__init__':
            continue
        assert target[1] == room or LEVELS[target[1]] < LEVELS[room], f'{path} imports {name}'


def test_every_room_has_a_level():
    rooms = {path.relative_to(ROOT / 'mmreid').parts[0].removesuffix('.py') for path in FILES} - {'__init__'}
    assert rooms <= set(LEVELS)


def test_optional_packages_are_not_imported_at_module_level():
    for path in FILES:
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ''] if isinstance(node, ast.ImportFrom) else [])
            optional = {'tensorboard', 'sklearn', 'h5py', 'faiss', 'onnx', 'onnxscript', 'onnxruntime'}
            assert not optional & {name.split('.')[0] for name in names}, path
