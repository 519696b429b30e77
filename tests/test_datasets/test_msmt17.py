import logging

import pytest

from mmreid.datasets import msmt17
from mmreid.datasets.msmt17 import MSMT17

from .named_trees import check_config, check_odd_places, check_wrong_roots, fill, names, pids

# Identities are counted from 0 in train and in test.
LISTS = dict(train=['0000_000_01_0303morning_0008_0.jpg', '0001_000_15_0303noon_0012_1.jpg',
                    '0001_001_02_0303noon_0012_1.jpg'],
             val=['0000_002_03_0303morning_0008_0.jpg'],
             query=['0000_000_01_0302morning_0001_0.jpg', '0001_000_02_0302morning_0002_0.jpg'],
             gallery=['0001_001_05_0302morning_0002_0.JPG', '0000_001_04_0302morning_0001_0.jpg'])
FOLDERS = dict(V1=('train', 'test'), V2=('mask_train_v2', 'mask_test_v2'))


@pytest.fixture(params=['V1', 'V2'])
def root(request, tmp_path):
    root = tmp_path / 'data' / f'MSMT17_{request.param}'
    train, test = FOLDERS[request.param]
    for part, images in LISTS.items():
        for name in images:
            fill(root / (train if part in ('train', 'val') else test) / name[:4], [name])
        (root / f'list_{part}.txt').write_text(''.join(f'{name[:4]}/{name} {int(name[:4])}\n' for name in images))
    return root


def test_train(root):
    dataset = MSMT17(str(root), check_counts=False)
    assert names(dataset) == LISTS['train']
    assert dataset.get_pids().tolist() == dataset.get_labels().tolist() == [0, 1, 1]
    assert dataset.get_camids().tolist() == [1, 15, 2] and dataset.num_classes == 2


def test_summary_says_what_is_trained_on(root):
    version = root.name[-2:]
    assert f'MSMT17 {version}, trained on train: train 3 images' in MSMT17(str(root), check_counts=False).summary()
    both = MSMT17(str(root), train_on='train+val', check_counts=False)
    assert names(both) == LISTS['train'] + LISTS['val'] and pids(both, 'train') == {0, 1}
    assert f'MSMT17 {version}, trained on train+val: train 4 images / 2 identities' in both.summary()
    assert MSMT17(str(root), split='test', check_counts=False).summary().startswith(f'MSMT17 {version}: query 2 images')


def test_test_split(root):
    dataset = MSMT17(str(root), split='test', check_counts=False)
    assert names(dataset, 'query') == LISTS['query'] and names(dataset, 'gallery') == LISTS['gallery']
    assert pids(dataset, 'query') == pids(dataset, 'gallery') == {0, 1}  # 0 is somebody, not a distractor
    assert dataset.count()['gallery'].pids == 2


@pytest.mark.parametrize('train_on, images', [('train', '30,248'), ('train+val', '32,621')])
def test_published_counts(root, logged, train_on, images):
    MSMT17(str(root), train_on=train_on)
    MSMT17(str(root), split='test')
    train, test = [text for level, text in logged if level == logging.WARNING]
    assert f'images (published: {images}); train has 2 identities (published: 1,041)' in train
    assert 'query has 2 images (published: 11,659)' in test and 'gallery has 2 images (published: 82,161)' in test
    assert test.count('3,060') == 2


def test_unknown_train_on(root):
    with pytest.raises(ValueError, match='train_on must be one of train, train.val, got .val.'):
        MSMT17(str(root), train_on='val')


def test_list_is_missing(root):
    (root / 'list_val.txt').unlink()
    MSMT17(str(root), check_counts=False)
    with pytest.raises(FileNotFoundError, match='the list ".*list_val.txt" is missing(.|\n)*Expected tree(.|\n)*docs/'):
        MSMT17(str(root), train_on='train+val')


def test_list_is_empty(root):
    (root / 'list_query.txt').write_text('\n')
    with pytest.raises(ValueError, match='list_query.txt" is empty; expected lines such as'):
        MSMT17(str(root), split='test')


def test_list_names_absent_images(root):
    with (root / 'list_gallery.txt').open('a') as file:
        file.writelines(f'0007/0007_{number:03d}_01_0302morning_0001_0.jpg 7\n' for number in range(7))
        file.write('0000/0000_009_01_0302morning_0001_0.jpg 0\n')
    with pytest.raises(FileNotFoundError, match='8 of the 10 images in ".*list_gallery.txt" are not in') as error:
        MSMT17(str(root), split='test')
    assert '0007/0007_000_01_0302morning_0001_0.jpg' in str(error.value) and '..., ' not in str(error.value)


@pytest.mark.parametrize('line', ['0000/0000_000_01_0303morning_0008_0.jpg', '0000/portrait.jpg 0', '0',
                                  '0000/0000_000_01_0303morning_0008_0.jpg x'])
def test_line_that_does_not_parse(root, line):
    with (root / 'list_train.txt').open('a') as file:
        file.write(f'{line}\n')
    with pytest.raises(ValueError, match='list_train.txt", line 4: cannot parse .*expected the path of an image'):
        MSMT17(str(root))


@pytest.mark.parametrize('camera', ['00', '16'])
def test_camera_out_of_range(root, camera):
    (root / 'list_train.txt').write_text(f'0000/0000_000_{camera}_0303morning_0008_0.jpg 0\n')
    with pytest.raises(ValueError, match=rf'camera {int(camera)} in .*list_train.txt", line 1.* the cameras 1 to 15'):
        MSMT17(str(root))


def test_folders_are_listed_instead_of_images(root, monkeypatch):
    listed = []
    listdir = msmt17.os.listdir
    monkeypatch.setattr(msmt17.os, 'listdir', lambda folder: listed.append(folder) or listdir(folder))
    monkeypatch.setattr(msmt17.osp, 'exists', None)
    MSMT17(str(root), check_counts=False)
    assert len(listed) == 2


def test_wrong_roots(root):
    check_wrong_roots(MSMT17, root, FOLDERS[root.name[-2:]][0])


def test_odd_places(root):
    check_odd_places(MSMT17, root, split='test')


def test_config(root, monkeypatch):
    if root.name != 'MSMT17_V1':
        root = root.rename(root.parent / 'MSMT17_V1')
    check_config('msmt17.py', root, monkeypatch)
