"""Cameras in rounds of pseudo labels: known, unknown, and what needs them."""

import json

import numpy as np
import pytest

from mmreid.datasets import FolderReID
from mmreid.engine.hooks import PseudoLabelError
from mmreid.pseudo_labels import CameraNormalised, PseudoLabeller, PseudoLabels
from mmreid.registry import TASK_UTILS
from tests.test_datasets.conftest import write_image
from tests.test_engine.test_pseudo_labels import options
from tests.test_engine.test_pseudo_labels_errors import log_of
from tests.test_engine.toy import toy_runner


@TASK_UTILS.register_module()
class SeesCameras(PseudoLabeller):
    """Keeps the cameras it is given."""

    seen: list = []

    def label(self, feats, camids):
        self.seen.append(camids)
        return PseudoLabels(np.arange(len(feats)) % 2, np.ones(len(feats), dtype=bool))


@pytest.fixture
def folder(tmp_path):
    """Eight images without labels, of two cameras."""
    (tmp_path / 'images').mkdir()
    for row in range(8):
        write_image(tmp_path / 'images' / f'{row}_c{1 + row % 2}.jpg', row)
    SeesCameras.seen.clear()
    return str(tmp_path / 'images')


def runner_of(work_dir, root, labeller=None, **data):
    given = options(labeller=labeller or dict(type='SeesCameras'), train_cfg__max_epochs=2)
    given['train_dataloader__dataset']['dataset'] = dict(type='FolderReID', data_root=root, labels=False, **data)
    return toy_runner(work_dir, **given)


def test_known_cameras_reach_the_labeller(tmp_path, folder):
    runner_of(tmp_path / 'work', folder, camera_pattern=r'_c(\d+)').train()
    assert [camids.tolist() for camids in SeesCameras.seen] == [[1, 2] * 4]
    record, = json.loads((tmp_path / 'work' / 'rounds.json').read_text())
    assert record['cameras_per_cluster'] == 1 and 'does not tell the cameras' not in log_of(tmp_path / 'work')


def test_unknown_cameras_are_none_and_the_log_says_so(tmp_path, folder):
    runner_of(tmp_path / 'work', folder).train()
    assert SeesCameras.seen == [None]
    record, = json.loads((tmp_path / 'work' / 'rounds.json').read_text())
    assert 'cameras_per_cluster' not in record
    text = log_of(tmp_path / 'work')
    assert 'does not tell the cameras of its images' in text and 'camera_pattern' in text


def test_a_single_known_camera_is_known(tmp_path, folder):
    runner_of(tmp_path / 'work', folder, camera_pattern=r'_c(\d+)', keep_camids=[2]).train()
    assert [camids.tolist() for camids in SeesCameras.seen] == [[2] * 4]
    assert 'does not tell the cameras' not in log_of(tmp_path / 'work')


def test_a_labeller_that_needs_cameras_ends_before_the_extraction(tmp_path, folder, monkeypatch):
    monkeypatch.setattr('mmreid.engine.hooks.pseudo_label_hook.extract_pool', None)  # calling it would fail
    labeller = dict(type='CameraNormalised', labeller=dict(type='SeesCameras'))
    with pytest.raises(PseudoLabelError, match=r'round 1: CameraNormalised needs the camera.*SeesCameras, directly.*'
                                               r'camera_pattern.*camid'):
        runner_of(tmp_path / 'work', folder, labeller).train()


def test_others_that_need_cameras_name_the_option(tmp_path, folder):
    with pytest.raises(PseudoLabelError, match=r'round 1: CrossCameraNeighbours needs .*camera_pattern.*camid'):
        runner_of(tmp_path / 'work', folder, dict(type='CrossCameraNeighbours')).train()


def test_folders_without_cameras_count_as_one_each(tmp_path, folder):
    """As parts of one pool they are told apart, so a labeller that looks at cameras may still be used."""
    (tmp_path / 'more').mkdir()
    for row in range(4):
        write_image(tmp_path / 'more' / f'{row}.jpg', 10 + row)
    given = options(labeller=dict(type='SeesCameras'), train_cfg__max_epochs=2)
    given['train_dataloader__dataset']['dataset'] = dict(type='MergedReIDDataset', datasets=[
        dict(type='FolderReID', data_root=root, labels=False) for root in (folder, str(tmp_path / 'more'))])
    toy_runner(tmp_path / 'work', **given).train()
    camids, = SeesCameras.seen
    assert len(set(camids[:8].tolist())) == len(set(camids[8:].tolist())) == 1 and camids[0] != camids[8]
    assert log_of(tmp_path / 'work').count('does not tell the cameras of its images') == 2


def test_normalising_asks_the_labeller_in_it(folder):
    camids = FolderReID(folder, labels=False).get_camids()
    inner = dict(type='CameraNormalised', labeller=dict(type='SeesCameras'))
    CameraNormalised(inner).check_cameras(camids)
    with pytest.raises(ValueError, match='camera 7 has a single image'):
        CameraNormalised(inner).check_cameras(np.append(camids, 7))
