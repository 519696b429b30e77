import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from scipy.io import loadmat

from mmreid.datasets import DATA_ROOT_ENV
from mmreid.datasets.base import SplitCount
from mmreid.datasets.cuhk03 import CUHK03
from mmreid.datasets.cuhk03_splits import ClassicSplits, draw_classic_parts
from mmreid.registry import DATASETS

from .cuhk03_tree import PERSONS, TESTSETS, names, write_images, write_protocol

BOXES = ('detected', 'labeled')
CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
NEW = dict(
    detected=dict(train=SplitCount(45, 9), query=SplitCount(12, 6), gallery=SplitCount(18, 6)),
    labeled=dict(train=SplitCount(45, 9), query=SplitCount(11, 6), gallery=SplitCount(16, 6)))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Miniature of the converted folder, with the published sizes made to fit it."""
    root = tmp_path / 'data' / 'cuhk03_release'
    for box in BOXES:
        write_images(root, box)
        write_protocol(root, box)
    content = dict(identities=PERSONS, testsets=TESTSETS, images={box: len(names(box)) for box in BOXES})
    (root / 'splits_classic.json').write_text(json.dumps(content))
    (root / 'images_detected' / 'Thumbs.db').write_bytes(b'no image')
    monkeypatch.setattr(CUHK03, 'NEW_COUNTS', NEW)
    monkeypatch.setattr(CUHK03, 'CLASSIC_PIDS', dict(train=6, val=3, test=3))
    return root


def infos(dataset):
    return [dataset.get_data_info(row) for row in range(len(dataset))]


def warnings(logged):
    return [text for level, text in logged if level == logging.WARNING]


@pytest.mark.parametrize('box', BOXES)
def test_new_protocol_follows_its_file(root, box, logged):
    content = loadmat(root / f'cuhk03_new_protocol_config_{box}.mat')
    files = [str(cell[0]) for cell in content['filelist'].ravel()]
    seen = []
    for split in ('train', 'test'):
        dataset = CUHK03(str(root), split, box=box)
        assert dataset.count() == {part: NEW[box][part] for part in dataset.SPLITS[split]}
        for info in infos(dataset):
            name = os.path.basename(info['img_path'])
            row = files.index(name) + 1
            assert row in content[f'{info["split"]}_idx'] and os.path.isfile(info['img_path'])
            pair, person, view, _ = (int(part) for part in name[:-4].split('_'))
            assert (info['pid'], info['camid']) == (1000 * pair + person, view)
            seen.append(row)
    assert sorted(seen) == list(range(1, len(files) + 1))
    lost = [text for text in warnings(logged) if 'no match from another camera' in text]
    assert len(lost) == len(warnings(logged)) == (box == 'labeled')


def test_published_counts():
    source = dict(detected=(7365, 1400, 5332), labeled=(7368, 1400, 5328))
    for box, images in source.items():
        counts = CUHK03.NEW_COUNTS[box]
        assert tuple(counts[part].images for part in ('train', 'query', 'gallery')) == images
        assert tuple(count.pids for count in counts.values()) == (767, 700, 700)
    assert sum(CUHK03.CLASSIC_PIDS.values()) == 843 + 440 + 77


def test_wrong_counts_are_reported(root, monkeypatch, logged):
    monkeypatch.undo()
    dataset = CUHK03(str(root))
    assert 'train has 45 images (published: 7,365)' in dataset.count_differences()
    monkeypatch.setattr(CUHK03, 'CLASSIC_PIDS', dict(train=1160, val=3, test=100))
    dataset = CUHK03(str(root), protocol='classic', val=True)
    assert dataset.count_differences() == ['train has 9 identities (published: 1,163)']


@pytest.mark.parametrize('box', BOXES)
@pytest.mark.parametrize('split_id', [0, 1])
def test_classic_protocol(root, split_id, box):
    options = dict(protocol='classic', split_id=split_id, box=box)
    parts = {split: CUHK03(str(root), split, **options) for split in ('train', 'val', 'test')}
    pids = {split: set(dataset.get_pids().tolist()) for split, dataset in parts.items()}
    assert pids['test'] == {1000 * pair + person for pair, person in TESTSETS[split_id]}
    assert [len(pids[split]) for split in ('train', 'val', 'test')] == [6, 3, 3]
    assert len(set.union(*pids.values())) == sum(PERSONS[:3])
    both = CUHK03(str(root), val=True, **options)
    assert set(both.get_pids().tolist()) == pids['train'] | pids['val'] and both.num_classes == 9
    for dataset in (*parts.values(), both):
        assert not dataset.count_differences()
    for split in ('val', 'test'):
        camids, part = parts[split].get_camids(), parts[split].get_splits()
        assert set(camids[part == 'query']) == {1} and set(camids[part == 'gallery']) == {2}
        assert parts[split].num_classes == 0 and parts[split].test_mode
    used = sum(len(dataset) for dataset in parts.values())
    assert used == sum(int(name[0]) <= 3 for name in names(box))


def test_validation_identities_are_the_same_for_both_boxes_and_differ_by_split(root):
    def val(**options):
        return set(CUHK03(str(root), 'val', protocol='classic', **options).get_pids().tolist())

    assert val() == val(box='labeled')
    splits = ClassicSplits([843, 440, 77, 58, 49], {}, [[(1, 1), (2, 1)]] * 3)
    drawn = [{pid for pid, part in draw_classic_parts(splits, number, (1, 2, 3), 100).items() if part == 'val'}
             for number in range(3)]
    assert all(len(pids) == 100 for pids in drawn) and drawn[0] != drawn[1] != drawn[2]


def test_draw_does_not_depend_on_hashing(root):
    code = ('from mmreid.datasets.cuhk03_splits import *\n'
            's = ClassicSplits([843, 440, 77, 58, 49], {}, [[(1, p) for p in range(1, 101)]] * 20)\n'
            'print(sorted(draw_classic_parts(s, 7, (1, 2, 3), 100).items()))')
    outputs = {subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                              env=dict(os.environ, PYTHONHASHSEED=seed)).stdout for seed in ('0', '1')}
    assert len(outputs) == 1 and outputs.pop().count("'val'") == 100


def test_titles_say_the_protocol(root):
    assert CUHK03(str(root)).summary().startswith('CUHK03(new, detected): train 45 images / 9 identities / 2 cameras')
    assert CUHK03(str(root), protocol='classic', split_id=1, box='labeled').summary().startswith(
        'CUHK03(classic, split 1, labeled): ')


@pytest.mark.parametrize('options, message', [
    (dict(protocol='old'), 'protocol must be one of new, classic'),
    (dict(box='both'), 'box must be one of labeled, detected'),
    (dict(split_id=1), "belong to protocol='classic'"),
    (dict(val=True), "belong to protocol='classic'"),
    (dict(split='val'), "belong to protocol='classic'"),
    (dict(split='val', protocol='classic', val=True), 'val=True puts the validation identities into training'),
    (dict(protocol='classic', split_id=2), 'split_id must be one of 0 to 1, got 2'),
    (dict(protocol='classic', split_id=-1), 'split_id must be one of 0 to 1, got -1'),
])
def test_wrong_options(root, options, message):
    with pytest.raises(ValueError, match=message):
        CUHK03(str(root), **options)


def test_too_many_validation_identities(root, monkeypatch):
    monkeypatch.setattr(CUHK03, 'CLASSIC_PIDS', dict(train=0, val=9, test=3))
    with pytest.raises(ValueError, match='9 validation identities of 9 leave none for training'):
        CUHK03(str(root), protocol='classic')


@pytest.mark.parametrize('wrong', ['.', 'cuhk03_release/images_detected', 'CUHK03'])
def test_wrong_root_is_explained(root, wrong):
    with pytest.raises(FileNotFoundError) as error:
        CUHK03(str(root.parent / wrong))
    text = str(error.value)
    for part in (f'Did you mean data_root={str(root)!r}', 'Expected tree', DATA_ROOT_ENV, 'docs/', 'converters/cuhk03'):
        assert part in text


@pytest.mark.parametrize('protocol, name', [('new', 'cuhk03_new_protocol_config_detected.mat'),
                                            ('classic', 'splits_classic.json')])
def test_missing_split_file(root, protocol, name):
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'{name}" does not exist') as error:
        CUHK03(str(root), protocol=protocol)
    assert 'docs/' in str(error.value) and 'Expected tree' in str(error.value)


def test_missing_images(root):
    for name in names('detected')[3:6]:
        (root / 'images_detected' / name).unlink()
    for split in ('train', 'test'):
        with pytest.raises(FileNotFoundError, match=r'names \d+ image.s. that are not in .*continues'):
            CUHK03(str(root), split)
    with pytest.raises(FileNotFoundError, match='holds 72 of 75 images'):
        CUHK03(str(root), protocol='classic')
    for path in (root / 'images_detected').glob('*.png'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='no image was found in .*images_detected'):
        CUHK03(str(root))


@pytest.mark.parametrize('size', [0, 60, 200, -30])
def test_truncated_protocol_file(root, size):
    path = root / 'cuhk03_new_protocol_config_detected.mat'
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match='config_detected.mat.*(truncated|holds no)'):
        CUHK03(str(root))


def overlapping(root):
    train = loadmat(root / 'cuhk03_new_protocol_config_detected.mat')['train_idx']
    return dict(query_idx=train[:2])


@pytest.mark.parametrize('changes, message', [
    (lambda root: dict(train_idx=None), 'holds no train_idx'),
    (lambda root: dict(train_idx=np.array([[0.], [3.]])), 'train_idx goes from 0 to 3, but there are 75 images'),
    (lambda root: dict(gallery_idx=np.array([[76.]])), 'goes from 76 to 76'),
    (lambda root: dict(labels=np.ones((3, 1))), 'contradicts itself: 75 names, 75 of them different, 3 labels'),
    (overlapping, '2 images are in more than one part'),
    (lambda root: dict(labels=np.arange(75.)[:, None]), 'labels or camId .* contradict the names'),
    (lambda root: dict(labels=np.ones((75, 1))), 'identities are in the training and in the test part'),
    (lambda root: dict(camId=np.ones((75, 1))), 'labels or camId .* contradict the names'),
])
def test_damaged_protocol_file(root, changes, message):
    write_protocol(root, 'detected', **changes(root))
    with pytest.raises(ValueError, match=message):
        CUHK03(str(root))


@pytest.mark.parametrize('text, message', [
    ('{"identities": [7', 'is damaged .JSONDecodeError'),
    ('{"identities": [7]}', 'is damaged .KeyError'),
    ('[]', 'is damaged .TypeError'),
    ('{"identities": [7], "images": {}, "testsets": [[[1, 2], [1, 8]]]}', 'testset 0 names persons'),
    ('{"identities": [7], "images": {}, "testsets": [[[1, 2], [1, 2]]]}', 'testset 0 names persons'),
])
def test_damaged_splits_file(root, text, message):
    (root / 'splits_classic.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        CUHK03(str(root), protocol='classic')


def test_camera_out_of_range(root):
    os.rename(root / 'images_detected' / names('detected')[0], root / 'images_detected' / '1_001_3_01.png')
    with pytest.raises(ValueError, match='camera 3 in .*1_001_3_01.png'):
        CUHK03(str(root))


def test_strange_names_are_skipped_and_named(root, logged):
    shutil.copy(root / 'images_detected' / names('detected')[0], root / 'images_detected' / 'holiday.png')
    assert len(CUHK03(str(root))) == 45
    assert any('holiday.png' in text for text in warnings(logged))


def test_other_suffixes_paths_and_links(root, tmp_path):
    moved = tmp_path / 'ünï côdé 数据'
    shutil.copytree(root, moved)
    for path in (moved / 'images_detected').glob('*.png'):
        path.rename(path.with_suffix('.PNG'))
    link = tmp_path / 'link'
    link.symlink_to(moved)
    for place in (moved, link):
        dataset = CUHK03(str(place), 'test')
        assert len(dataset) == 30 and dataset.load_image(dataset.get_data_info(0)).ndim == 3


def test_order_is_that_of_the_names(root):
    paths = [info['img_path'] for info in infos(CUHK03(str(root)))]
    assert paths == sorted(paths)


def test_is_registered(root):
    assert len(DATASETS.build(dict(type='CUHK03', data_root=str(root), split='test'))) == 30


@pytest.mark.parametrize('name, protocol, box, evaluation', [
    ('cuhk03', 'new', 'detected', 'cuhk03-np'), ('cuhk03_labeled', 'new', 'labeled', 'cuhk03-np'),
    ('cuhk03_classic', 'classic', 'detected', 'cuhk03'), ('cuhk03_detected_mgn', 'new', 'detected', 'cuhk03-np'),
    ('cuhk03_labeled_mgn', 'new', 'labeled', 'cuhk03-np')])
def test_config_builds_and_loads(root, monkeypatch, name, protocol, box, evaluation):
    monkeypatch.setenv(DATA_ROOT_ENV, str(root.parent))
    config, size = Config.fromfile(CONFIGS / f'{name}.py'), (256, 128)
    if name.endswith('_mgn'):
        config.train_dataloader.sampler.num_pids, size = 3, (384, 128)
    assert config.test_dataloader == config.val_dataloader
    assert config.test_evaluator == config.val_evaluator and config.val_evaluator.protocols == [evaluation]
    for loader, split in ((config.train_dataloader, 'train'), (config.val_dataloader, 'test')):
        loader.batch_size, loader.num_workers, loader.persistent_workers = 3, 0, False
        with DefaultScope.overwrite_default_scope('mmreid'):
            built = Runner.build_dataloader(loader, seed=0)
        assert (built.dataset.split, built.dataset.protocol, built.dataset.box) == (split, protocol, box)
        assert all(tuple(image.shape) == (3, *size) for image in next(iter(built))['inputs'])
