"""Nuisance encoders come into being from the training data, and checkpoints with others are accounted for."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmreid.datasets import FolderReID, MergedReIDDataset, SyntheticReID, UnlabelledDataset
from mmreid.engine.runner.encoders import encoder_keys
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from mmreid.utils.config import drop_training
from tests.test_datasets.conftest import write_image
from tests.test_engine.test_load_parts import before_first_step
from tests.test_engine.toy import RUNNERS, toy_config, toy_runner

SMALL = dict(num_train_pids=4, num_test_pids=2, num_images=1, num_distractors=1, num_junk=1, size=(32, 16))
PER_CAMERA = dict(type='EmbAEHead', in_channels=8, id_channels=4, nuisance_channels=4, hidden_channels=8,
                  nuisance='per_camera')


def options(nuisance='per_camera', cameras=2, **more):
    head = dict(PER_CAMERA, nuisance=nuisance)
    return dict(model__neck=dict(_delete_=True, type='EmbAENeck', in_channels=8, hidden_channels=8, feat_channels=4),
                model__heads=dict(_delete_=True, ae=head), train_cfg__max_epochs=1,
                train_dataloader__dataset__num_cams=cameras, **more)


def encoders_of(runner):
    return tuple(runner.model.heads['ae'].nuisance)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Checkpoint of an autoencoder with an encoder for each of the cameras 1 and 2."""
    folder = tmp_path_factory.mktemp('source')
    runner = toy_runner(folder, **options())
    assert encoders_of(runner) == ('d0_c1', 'd0_c2')
    runner.train()
    return folder / 'epoch_1.pth'


def encoder(weights, key):
    return {name: value for name, value in weights.items() if f'.nuisance.{key}.' in name}


def same(left, right):
    assert left.keys() == right.keys() and left
    return all(torch.equal(value, right[name]) for name, value in left.items())


@pytest.mark.parametrize('nuisance, expected', [('shared', ('shared', )), ('per_dataset', ('d0', )),
                                                ('per_camera', ('d0_c1', 'd0_c2', 'd0_c3'))])
def test_filled_in_from_the_training_data(tmp_path, nuisance, expected):
    assert encoders_of(toy_runner(tmp_path, **options(nuisance, 3))) == expected


def test_classifiers_are_filled_in_beside_them(tmp_path):
    more = options()
    more['model__heads'].update(id=dict(type='ClassificationHead', in_channels=4, num_classes=None))
    runner = toy_runner(tmp_path, **more)
    assert runner.model.heads['id'].num_classes == 6 and encoders_of(runner) == ('d0_c1', 'd0_c2')


def test_keys_of_several_data_sets():
    parts = [SyntheticReID(domain, 'train', num_cams=cameras, domain_id=number, **SMALL)
             for domain, cameras, number in (('a', 2, 4), ('b', 3, 1))]
    merged = MergedReIDDataset(parts)
    assert encoder_keys(merged, 'per_dataset') == ['d1', 'd4']
    keys = encoder_keys(merged, 'per_camera')
    seen = {f'd{info["domain"]}_c{info["camid"]}' for info in map(merged.get_data_info, range(len(merged)))}
    assert set(keys) == seen and len(keys) == 5 and keys[0].startswith('d1_') and keys[-1].startswith('d4_')


def test_keys_are_in_the_order_of_numbers():
    dataset = SimpleNamespace(get_domains=lambda: np.array([0, 0, 10, 2, 0]),
                              get_camids=lambda: np.array([10, 2, 0, 1, 2]))
    assert encoder_keys(dataset, 'per_camera') == ['d0_c2', 'd0_c10', 'd2_c1', 'd10_c0']


def test_stated_encoders_must_include_those_of_the_data(tmp_path):
    more = options(cameras=2)
    more['model__heads']['ae']['encoders'] = ('d0_c1', 'd0_c2', 'd5_c0')
    assert encoders_of(toy_runner(tmp_path, **copy.deepcopy(more))) == ('d0_c1', 'd0_c2', 'd5_c0')
    more['model__heads']['ae']['encoders'] = ('d0_c2', )
    with pytest.raises(ValueError, match=r"encoders=\('d0_c2',\) of EmbAEHead lack d0_c1.*Leave them None"):
        toy_runner(tmp_path, **more)


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def test_new_cameras_begin_with_new_encoders(tmp_path, source):
    weights = read_checkpoint(source)['state_dict']
    started, log = before_first_step(tmp_path, load_from=str(source), **options(
        cameras=3, train_dataloader__dataset__keep_camids=(2, 3)))
    assert f'Nuisance encoders and {source}: taken from it: d0_c2; new here: d0_c3; left in the file: d0_c1' in log
    assert '2 nuisance encoders (per_camera), from the training data: d0_c2, d0_c3' in log
    assert same(encoder(started, 'd0_c2'), encoder(weights, 'd0_c2'))
    assert (started['heads.ae.nuisance.d0_c3.norm.running_mean'] == 0).all()
    decoder = {name: value for name, value in weights.items() if '.decoder.' in name}
    assert same(decoder, {name: started[name] for name in decoder})


def test_neck_and_decoder_without_the_encoders(tmp_path, source):
    weights = read_checkpoint(source)['state_dict']
    started, log = before_first_step(tmp_path, load_from=str(source), **options(),
                                     load_parts=('backbone', 'neck', 'heads.ae.decoder'))
    assert 'taken from it: none; new here: d0_c1, d0_c2; left in the file: d0_c1, d0_c2' in log
    assert 'other data' not in log
    for name, value in started.items():
        if '.nuisance.' not in name:
            assert torch.equal(value, weights[name]), name
    for key in ('d0_c1', 'd0_c2'):
        assert (started[f'heads.ae.nuisance.{key}.norm.running_mean'] == 0).all()
        assert not torch.equal(started[f'heads.ae.nuisance.{key}.hidden.weight'],
                               weights[f'heads.ae.nuisance.{key}.hidden.weight'])


def test_encoders_that_are_asked_for_must_be_there(tmp_path, source):
    with pytest.raises(CheckpointError, match='(?s)does not fit.*missing: heads.ae.nuisance.d0_c3'):
        toy_runner(tmp_path, load_from=str(source), load_parts=('heads.ae', ), **options(cameras=3)).train()


def test_the_same_keys_of_other_data_are_warned_of(tmp_path, source):
    other = dict(options(), train_dataloader__dataset__domain='b')
    _, log = before_first_step(tmp_path / 'a', load_from=str(source), **other)
    assert 'WARNING' in log and 'd0_c1, d0_c2 of' in log and 'were trained on other data' in log
    _, log = before_first_step(tmp_path / 'b', load_from=str(source), **options())
    assert 'other data' not in log
    numbered = dict(other, train_dataloader__dataset__domain_id=1)
    _, log = before_first_step(tmp_path / 'c', load_from=str(source), **numbered)
    assert 'taken from it: none; new here: d1_c1, d1_c2' in log and 'other data' not in log


def test_resuming_is_exact(tmp_path):
    two_epochs = dict(options(), train_cfg__max_epochs=2)
    whole = toy_runner(tmp_path / 'whole', **copy.deepcopy(two_epochs))
    whole.train()
    first = tmp_path / 'whole' / 'epoch_1.pth'
    again = toy_runner(tmp_path / 'again', resume=True, load_from=str(first), **two_epochs)
    again.train()
    left, right = whole.model.state_dict(), again.model.state_dict()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    before = read_checkpoint(first)['state_dict']
    assert not same(encoder(left, 'd0_c1'), encoder(before, 'd0_c1')), 'it has been trained on'


def test_testing_takes_the_encoders_of_the_checkpoint(tmp_path, source):
    cfg = toy_config(tmp_path, load_from=str(source), **options())
    drop_training(cfg)
    runner = RUNNERS.build(cfg)
    assert encoders_of(runner) == ('d0_c1', 'd0_c2')
    assert runner.test()['market1501/mAP'] > 0
    assert same(encoder(runner.model.state_dict(), 'd0_c1'), encoder(read_checkpoint(source)['state_dict'], 'd0_c1'))
    cfg = toy_config(tmp_path, **options())
    drop_training(cfg)
    assert encoders_of(RUNNERS.build(cfg)) == ('untold', ), 'nothing tells, and nothing is trained'


def test_testing_takes_encoders_of_its_kind_only(tmp_path):
    """A checkpoint with one for each data set under a config with one for each camera, and the other way round."""
    toy_runner(tmp_path / 'source', **options('per_dataset')).train()
    for nuisance, expected in (('per_camera', ('untold', )), ('per_dataset', ('d0', ))):
        cfg = toy_config(tmp_path, load_from=str(tmp_path / 'source/epoch_1.pth'), **options(nuisance))
        drop_training(cfg)
        runner = RUNNERS.build(cfg)
        assert encoders_of(runner) == expected and runner.test()['market1501/mAP'] > 0


# ---- data without cameras -------------------------------------------------------------------------------------------


def folder_data(root, **more):
    for number in range(4):
        path = root / f'person{number // 2}' / f'{number}_c{number % 2}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, number)
    return FolderReID(str(root), split='all', **more)


def test_data_without_cameras(tmp_path):
    bare = folder_data(tmp_path)
    with pytest.raises(ValueError, match="nuisance='per_camera' needs to know the camera.*FolderReID.*nuisance='shared'"
                                         '.*camera_pattern'):
        encoder_keys(bare, 'per_camera')
    assert encoder_keys(bare, 'per_dataset') == ['d0']
    wrapped = SimpleNamespace(dataset=bare, get_domains=bare.get_domains, get_camids=bare.get_camids)
    with pytest.raises(ValueError, match='FolderReID'):
        encoder_keys(wrapped, 'per_camera')
    merged = MergedReIDDataset([SyntheticReID('a', 'train', num_cams=2, **SMALL), folder_data(tmp_path)])
    with pytest.raises(ValueError, match='FolderReID'):
        encoder_keys(merged, 'per_camera')
    assert encoder_keys(folder_data(tmp_path, camera_pattern=r'_c(\d+)'), 'per_camera') == ['d0_c0', 'd0_c1']


def test_a_single_camera_is_a_camera(tmp_path):
    """Two folders of one camera each, and a list that says it; evaluation goes on taking a single one for none."""
    parts = []
    for number in (1, 2):
        path = tmp_path / f'place{number}/anna/1_c{number}.jpg'
        path.parent.mkdir(parents=True)
        write_image(path, number)
        parts.append(FolderReID(str(tmp_path / f'place{number}'), split='all', camera_pattern=r'_c(\d+)'))
    assert [encoder_keys(part, 'per_camera') for part in parts] == [['d0_c1'], ['d0_c2']]
    assert not any(part.has_cameras for part in parts) and all(part.reads_cameras for part in parts)
    assert encoder_keys(MergedReIDDataset(parts), 'per_camera') == ['d0_c1', 'd1_c4']  # numbers of the whole
    assert encoder_keys(UnlabelledDataset(parts[1]), 'per_camera') == ['d0_c2']
    (tmp_path / 'list.csv').write_text('path,pid,camid\nplace2/anna/1_c2.jpg,anna,0\n')
    listed = FolderReID(str(tmp_path), split='all', annotations='list.csv')
    assert encoder_keys(listed, 'per_camera') == ['d0_c0']
    (tmp_path / 'list.csv').write_text('path,pid\nplace2/anna/1_c2.jpg,anna\n')
    with pytest.raises(ValueError, match='FolderReID'):
        encoder_keys(FolderReID(str(tmp_path), split='all', annotations='list.csv'), 'per_camera')


def test_names_of_cameras():
    """Those of the parts, under the numbers of the whole; the same whoever is seen."""
    parts = [SyntheticReID(domain, 'train', num_cams=2, domain_id=number, **SMALL)
             for domain, number in (('a', 4), ('b', 1))]
    merged = MergedReIDDataset(parts)
    expected = {}
    for row in range(len(merged)):
        info = merged.get_data_info(row)
        name = f'SyntheticReID({"a" if info["domain"] == 4 else "b"}) camera {info["source_camid"]}'
        assert expected.setdefault((info['domain'], info['camid']), name) == name
    assert len(expected) == 4
    for dataset in (merged, UnlabelledDataset(parts), MergedReIDDataset([merged])):
        found = dataset.metainfo['cameras']
        assert {(domain, camid): name for domain, names in found.items() for camid, name in names.items()} == expected
    assert parts[1].metainfo['cameras'] == {1: {1: 'SyntheticReID(b) camera 1', 2: 'SyntheticReID(b) camera 2'}}


def test_unknown_cameras_and_foreign_data_sets():
    unknown = SimpleNamespace(get_domains=lambda: np.zeros(3, int), get_camids=lambda: np.array([0, -1, 1]))
    with pytest.raises(ValueError, match="per_camera.*SimpleNamespace does not tell.*'shared'"):
        encoder_keys(unknown, 'per_camera')
    with pytest.raises(ValueError, match='get_domains.*list does not'):
        encoder_keys([1, 2], 'per_dataset')


def test_the_runner_says_so(tmp_path):
    folder_data(tmp_path / 'images')
    data = dict(_delete_=True, type='FolderReID', data_root=str(tmp_path / 'images'), split='all', pipeline=[])
    more = options()
    del more['train_dataloader__dataset__num_cams']
    with pytest.raises(ValueError, match="FolderReID.*nuisance='shared'"):
        toy_runner(tmp_path, train_dataloader__dataset=data, **more)
