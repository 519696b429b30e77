import logging

import pytest

from mmreid.datasets.base import SplitCount
from mmreid.datasets.duke import DukeMTMCreID

from .named_trees import check_config, check_odd_places, check_wrong_roots, fill, names, pids

# 7 and 9 are trained on, 2 and 5 queries, 11 is a distractor with an identity of its own.
TREE = dict(bounding_box_train=['0009_c2_f0046182.jpg', '0007_c8_f0046302.JPG', '0007_c1_f0046422.jpg'],
            query=['0002_c1_f0044158.jpg', '0005_c2_f0046985.jpg'],
            bounding_box_test=['0002_c2_f0044158.jpg', '0005_c3_f0046985.jpg', '0011_c4_f0057985.jpg'])


@pytest.fixture
def root(tmp_path, monkeypatch, logged):
    monkeypatch.setattr('mmreid.datasets.duke.print_log',
                        lambda text, logger=None, level=logging.INFO: logged.append((level, text)))
    for folder, images in TREE.items():
        fill(tmp_path / 'data' / 'DukeMTMC-reID' / folder, images)
    return tmp_path / 'data' / 'DukeMTMC-reID'


def test_train(root):
    dataset = DukeMTMCreID(str(root), check_counts=False)
    assert names(dataset) == ['0007_c1_f0046422.jpg', '0007_c8_f0046302.JPG', '0009_c2_f0046182.jpg']
    assert dataset.get_camids().tolist() == [1, 8, 2] and dataset.get_labels().tolist() == [0, 0, 1]


def test_distractors_keep_their_identities(root):
    dataset = DukeMTMCreID(str(root), split='test', check_counts=False)
    assert pids(dataset, 'query') == {2, 5} and pids(dataset, 'gallery') == {2, 5, 11}
    assert dataset.count() == dict(query=SplitCount(2, 2), gallery=SplitCount(3, 3))


def test_withdrawal_is_said_each_time(root, logged):
    DukeMTMCreID(str(root), check_counts=False)
    DukeMTMCreID(str(root), split='test', check_counts=False)
    notices = [text for _, text in logged if 'withdrawn by its authors in 2019' in text]
    assert len(notices) == 2 and 'http' not in notices[0]
    assert 'withdrawn by its authors in 2019' in DukeMTMCreID.__doc__ and 'http' not in DukeMTMCreID.__doc__


def test_published_counts(root, logged):
    assert DukeMTMCreID.PUBLISHED_COUNTS == dict(train=(16522, 702), query=(2228, 702), gallery=(17661, 1110))
    DukeMTMCreID(str(root), split='test')
    warning, = [text for level, text in logged if level == logging.WARNING]
    assert 'gallery has 3 identities (published: 1,110)' in warning


def test_camera_out_of_range(root):
    fill(root / 'query', ['0002_c9_f0000001.jpg'])
    with pytest.raises(ValueError, match=r'camera 9 in ".*query.0002_c9_f0000001.jpg".* the cameras 1 to 8'):
        DukeMTMCreID(str(root), split='test')
    DukeMTMCreID(str(root))


def test_names_of_another_dataset(root, logged):
    fill(root / 'bounding_box_train', ['0002_c1s1_000451_03.jpg'])
    assert len(DukeMTMCreID(str(root), check_counts=False)) == 3
    warning, = [text for level, text in logged if level == logging.WARNING]
    assert '1 image(s)' in warning and '0002_c1s1_000451_03.jpg' in warning


def test_folder_without_images(root):
    for path in (root / 'bounding_box_train').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match='no image was found in .*bounding_box_train.*<identity>_c<camera>_f<f'):
        DukeMTMCreID(str(root))


def test_wrong_roots(root):
    check_wrong_roots(DukeMTMCreID, root, 'query')


def test_odd_places(root):
    check_odd_places(DukeMTMCreID, root)


@pytest.mark.parametrize('name, size', [('dukemtmc.py', (256, 128)), ('dukemtmc_mgn.py', (384, 128))])
def test_config(root, monkeypatch, name, size):
    assert check_config(name, root, monkeypatch, size).val_evaluator.protocols == ['market1501', 'nd']
