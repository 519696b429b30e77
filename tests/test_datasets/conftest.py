"""A miniature Market-1501 tree, and a record of what the datasets log."""

import importlib.util
import logging
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

# Identities 2, 7 and 11 are trained on; 3 and 5 are queries; 0 are distractors, -1 junk.
TRAIN = ['0007_c1s1_000001_01', '0007_c2s1_000026_01', '0007_c3s1_000051_01', '0002_c1s1_000001_02',
         '0002_c2s2_000001_00', '0011_c3s1_000076_01']
QUERY = ['0003_c1s1_000001_00', '0003_c2s1_000001_00', '0005_c3s1_000001_00']
GALLERY = ['0003_c1s1_000026_01', '0003_c2s1_000026_01', '0005_c1s1_000026_01', '0000_c1s1_000001_05',
           '-1_c2s1_000001_01', '-1_c3s1_000001_02.jpg']


def write_image(path: Path, seed: int, size=(32, 16)) -> np.ndarray:
    """Write a smooth random image and return it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 2, 3), dtype=np.uint8)
    image = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), image)
    return image


@pytest.fixture
def market_tree(tmp_path) -> Path:
    """Root of a miniature Market-1501 with stray files."""
    root = tmp_path / 'data' / 'Market-1501-v15.09.15'
    seed = 0
    for folder, names in (('bounding_box_train', TRAIN), ('query', QUERY), ('bounding_box_test', GALLERY)):
        (root / folder).mkdir(parents=True)
        (root / folder / 'Thumbs.db').write_bytes(b'not an image')
        for name in names:
            write_image(root / folder / f'{name}.jpg', seed)
            seed += 1
    (root / 'gt_bbox').mkdir()
    (root / 'readme.txt').write_text('miniature')
    return root


@pytest.fixture
def logged(monkeypatch):
    """Messages the datasets print, as ``(level, text)``."""
    messages = []

    def record(message, logger=None, level=logging.INFO):
        messages.append((level, message))

    for module in ('base', 'named_images'):
        monkeypatch.setattr(f'mmreid.datasets.{module}.print_log', record)
    return messages


@pytest.fixture
def run_tool(monkeypatch, capfd):
    """Run a tool in this process: name below tools/, arguments -> status, output."""

    def run(name, *arguments):
        path = ROOT / 'tools' / f'{name}.py'
        spec = importlib.util.spec_from_file_location(path.stem, path)
        tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tool)
        monkeypatch.setattr(tool, 'init_default_scope', lambda scope: None)
        monkeypatch.setattr(sys, 'argv', [path.name, *map(str, arguments)])
        try:
            status = tool.main()
        except SystemExit as error:
            status = error.code
        printed = capfd.readouterr()
        return status, printed.out + printed.err

    return run
