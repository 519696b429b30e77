import os

import numpy as np
import pytest

from mmreid.datasets import Market1501, SyntheticReID
from mmreid.datasets.market_layout import MARKER

SMALL = dict(num_train_pids=4, num_test_pids=3, num_cams=2, num_images=3, num_distractors=5, num_junk=3)


@pytest.fixture
def root(tmp_path):
    SyntheticReID.export(str(tmp_path / 'out'), domain='b', **SMALL)
    return tmp_path / 'out'


def by_name(dataset):
    found = {}
    for row in range(len(dataset)):
        info = dataset.get_data_info(row)
        name = os.path.basename(info['img_path']).removesuffix('.jpg')
        found[info['split'], name] = row
    return found


@pytest.mark.parametrize('split', ['train', 'test'])
def test_round_trip(root, split):
    drawn = SyntheticReID('b', split, **SMALL)
    read = Market1501(str(root), split=split, check_counts=False, cache=True)
    rows, others = by_name(drawn), by_name(read)
    assert rows.keys() == others.keys() and len(rows) == len(drawn)
    assert drawn.num_classes == read.num_classes
    for key, row in rows.items():
        one, two = drawn.get_data_info(row), read.get_data_info(others[key])
        assert [one.get(name) for name in ('pid', 'camid', 'gt_label')] == \
            [two.get(name) for name in ('pid', 'camid', 'gt_label')]
        loss = np.abs(drawn.get_image(row).astype(int) - read.get_image(others[key]))
        assert loss.mean() < 6


def test_counts_written(tmp_path):
    written = SyntheticReID.export(str(tmp_path / 'out'), **SMALL)
    assert written == dict(bounding_box_train=24, query=6, bounding_box_test=12 + 5 + 3)


def test_folder_in_use_is_refused(tmp_path):
    (tmp_path / 'mine.txt').write_text('precious')
    for force in (False, True):
        with pytest.raises(FileExistsError, match='not empty and holds no earlier export'):
            SyntheticReID.export(str(tmp_path), force=force, **SMALL)
    assert os.listdir(tmp_path) == ['mine.txt']


def test_force_replaces_an_export(root):
    with pytest.raises(FileExistsError, match='--force'):
        SyntheticReID.export(str(root), **SMALL)
    SyntheticReID.export(str(root), force=True, **dict(SMALL, num_train_pids=2))
    assert len(Market1501(str(root), check_counts=False)) == 12
    assert (root / MARKER).is_file()
