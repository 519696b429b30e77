"""The contact sheet: what is where, and the tool that draws it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import mmreid.datasets.folder  # noqa: F401
from mmreid.datasets import SyntheticReID
from mmreid.visualization import MISSING, SheetLayout, contact_sheet

from .conftest import write_image

ROOT = Path(__file__).parents[2]
COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (10, 120, 240)]


def plain(colour, size=(20, 10)):
    return np.full((*size, 3), colour, dtype=np.uint8)


def slot(sheet, layout, row, column, number=0):
    top, left = layout.corner(row, column, number)
    return sheet[top:top + layout.image_size[0], left:left + layout.image_size[1]]


def test_every_image_is_at_its_place():
    cells = {(0, 0): [plain(COLOURS[0]), plain(COLOURS[1])], (1, 2): [plain(COLOURS[2])], (0, 1): [plain(COLOURS[3])]}
    sheet = contact_sheet(cells, ['pid 1', 'pid 22'], ['camera 1', 'camera 2', 'camera 3'], slots=2,
                          image_size=(40, 20))
    layout = SheetLayout(2, 3, 2, (40, 20))
    assert sheet.shape == (*layout.size, 3) and sheet.dtype == np.uint8
    expected = {(0, 0, 0): COLOURS[0], (0, 0, 1): COLOURS[1], (1, 2, 0): COLOURS[2], (0, 1, 0): COLOURS[3]}
    for row in range(2):
        for column in range(3):
            for number in range(2):
                found = slot(sheet, layout, row, column, number)
                assert (found == expected.get((row, column, number), MISSING)).all(), (row, column, number)


def test_labels_are_drawn_in_the_margins_only():
    layout = SheetLayout(2, 2)
    cells = {(row, column): [plain((255, 255, 255))] for row in range(2) for column in range(2)}
    sheet = contact_sheet(cells, ['pid 1', ''], ['', 'camera 2'])
    top, left = layout.corner(1, 0)
    assert (sheet[layout.top:top, :layout.left] < 128).any() and (sheet[top:, :layout.left] == 255).all()
    assert (sheet[layout.top:, layout.left:] == 255).all()
    column = layout.corner(0, 1)[1]
    assert (sheet[:layout.top, column:] < 128).any() and (sheet[:layout.top, :column] == 255).all()
    long = contact_sheet({}, ['identity 123456789012345678'], [''])
    assert (long[:, layout.left:][layout.top:] >= min(MISSING)).all()  # made smaller instead of crossing the border


def test_aspect_ratio_is_kept():
    layout = SheetLayout(1, 1, 1, (40, 20))
    sheet = contact_sheet({(0, 0): [plain(COLOURS[0], (30, 30))]}, ['a'], ['b'], image_size=(40, 20))
    found = slot(sheet, layout, 0, 0)
    assert (found[10:30] == COLOURS[0]).all() and (found[:10] == 255).all() and (found[30:] == 255).all()


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match='does not fit a sheet of 1 x 1 cells with 1 slot'):
        contact_sheet({(0, 0): [plain(COLOURS[0])] * 2}, ['a'], ['b'])
    with pytest.raises(ValueError, match='does not fit'):
        contact_sheet({(1, 0): []}, ['a'], ['b'])
    with pytest.raises(ValueError, match='rows must be at least 1'):
        contact_sheet({}, [], ['b'])
    with pytest.raises(ValueError, match='image_size'):
        contact_sheet({}, ['a'], ['b'], image_size=(0, 5))
    with pytest.raises(TypeError, match='uint8'):
        contact_sheet({(0, 0): [np.zeros((4, 4, 3))]}, ['a'], ['b'])


@pytest.fixture
def browse(run_tool):
    """Run the tool in this process: arguments -> status, output."""
    return lambda *arguments: run_tool('visualization/browse_dataset', *arguments)


SYNTHETIC = dict(num_train_pids=3, num_test_pids=2, num_cams=2, num_images=2, num_distractors=1, num_junk=1)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('\n'.join(
        ['pipeline = [dict(type="LoadImage"), dict(type="RandomFlip", prob=1.0), dict(type="PackReIDInputs")]',
         *(f'{loader}_dataloader = dict(dataset=dict(type="SyntheticReID", split="{split}", pipeline=pipeline, '
           f'**{SYNTHETIC!r}))' for loader, split in (('train', 'train'), ('test', 'test')))]))
    return path


def read(path):
    return cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)


def test_synthetic_sheet_with_augmented_images(config, tmp_path, browse):
    out = tmp_path / 'новый folder' / 'sheet.png'
    status, output = browse(config, out, '--augmented', '--num-images', 2)
    assert status == 0 and str(out) in output, output
    layout = SheetLayout(3, 2, slots=4)
    sheet, dataset = read(out), SyntheticReID(split='train', **SYNTHETIC)
    assert sheet.shape == (*layout.size, 3)
    for row, pid in enumerate((1, 2, 3)):
        for column, camid in enumerate((1, 2)):
            rows = np.flatnonzero((dataset.get_pids() == pid) & (dataset.get_camids() == camid))
            for number, index in enumerate(rows):
                picture = dataset.get_image(index)
                assert (slot(sheet, layout, row, column, 2 * number) == picture).all()
                assert (slot(sheet, layout, row, column, 2 * number + 1) == picture[:, ::-1]).all()  # flipped


def test_split_seed_and_number_of_identities(config, tmp_path, browse):
    sheets = []
    for seed in (0, 0, 1, 2, 3):
        assert browse(config, tmp_path / 'sheet.png', '--num-pids', 1, '--seed', seed, '--force')[0] == 0
        sheets.append(read(tmp_path / 'sheet.png'))
    assert (sheets[0] == sheets[1]).all() and any((sheets[0] != sheet).any() for sheet in sheets[2:])
    assert browse(config, tmp_path / 'q.png', '--split', 'query')[0] == 0
    dataset = SyntheticReID(split='test', **SYNTHETIC)
    row = np.flatnonzero((dataset.get_splits() == 'query') & (dataset.get_camids() == 2))[1]
    assert (slot(read(tmp_path / 'q.png'), SheetLayout(2, 2), 1, 1) == dataset.get_image(row)).all()


def test_folder_with_missing_cells(config, tmp_path, browse):
    root = tmp_path / 'mine'
    for name in ('1/a_c1.png', '1/b_c2.png', '2/c_c2.png'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(root / name, len(name), size=(128, 64))
    out, pattern = tmp_path / 'sheet.png', ('--options', r'camera_pattern=_c(\d+)')
    status, output = browse(root, out, *pattern)
    assert status == 0, output
    layout = SheetLayout(2, 2)
    sheet = read(out)
    assert (slot(sheet, layout, 1, 0) == MISSING).all()
    assert (slot(sheet, layout, 1, 1) == cv2.imread(str(root / '2/c_c2.png'))).all()
    status, output = browse(root, out, *pattern)
    assert status == 1 and 'is there; --force replaces it' in output
    status, output = browse(root, out, '--augmented', '--force')
    assert status == 1 and '--pipeline-from' in output
    assert browse(root, out, '--force', '--augmented', '--pipeline-from', config, *pattern)[0] == 0
    layout = SheetLayout(2, 2, slots=2)
    assert (slot(read(out), layout, 1, 1, 1) == cv2.imread(str(root / '2/c_c2.png'))[:, ::-1]).all()


def test_images_without_labels_by_camera(config, tmp_path, browse):
    root = tmp_path / 'mine'
    names = [f'cam{camid}/{row}.png' for camid, number in ((1, 3), (4, 1)) for row in range(number)]
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(root / name, seed, size=(128, 64))
    status, output = browse(root, tmp_path / 'a.png', '--options', 'labels=False', r'camera_pattern=cam(\d+)/')
    assert status == 0, output
    layout = SheetLayout(2, 1, slots=3)  # at most 8 of a camera
    sheet = read(tmp_path / 'a.png')
    assert sheet.shape == (*layout.size, 3)
    for name, place in zip(names, ((0, 0), (0, 1), (0, 2), (1, 0)), strict=True):
        assert (slot(sheet, layout, place[0], 0, place[1]) == cv2.imread(str(root / name))).all()
    assert (slot(sheet, layout, 1, 0, 1) == MISSING).all()
    status, output = browse(root, tmp_path / 'b.png', '--options', 'labels=False', '--num-images', 2)
    assert status == 0 and read(tmp_path / 'b.png').shape == (*SheetLayout(1, 1, slots=2).size, 3)  # cameras unknown
    overlay = tmp_path / 'overlay.py'
    overlay.write_text(f'from_config = None\ntrain_dataloader = dict(dataset=dict(type="PseudoLabelDataset", pipeline='
                       f'[dict(type="LoadImage"), dict(type="PackReIDInputs")], test_pipeline=[], dataset=dict('
                       f'type="FolderReID", data_root={str(root)!r}, labels=False)))\n')
    assert browse(overlay, tmp_path / 'c.png', '--num-images', 2)[0] == 0
    assert (read(tmp_path / 'c.png') == read(tmp_path / 'b.png')).all()


def test_wrong_calls(config, tmp_path, browse):
    assert browse(config, tmp_path / 'sheet.jpg')[0] == 2
    assert browse(config, tmp_path / 'sheet.png', '--num-pids', 0)[0] == 2
    for arguments, text in (((tmp_path / 'none', ), 'does not exist'), ((tmp_path / 'none.py', ), 'does not exist'),
                            ((tmp_path, '--type', 'Nothing'), 'not registered')):
        status, output = browse(arguments[0], tmp_path / 'sheet.png', *arguments[1:])
        assert status == 1 and text in output and 'Traceback' not in output
    assert not (tmp_path / 'sheet.png').exists()
