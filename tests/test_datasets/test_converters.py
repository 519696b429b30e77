import csv
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmreid.datasets import ImageReadError, Market1501, ReIDDataset, SyntheticReID, conversion, read_image
from mmreid.datasets.conversion import encode_image, write_file, write_image_once
from mmreid.datasets.csv_export import COLUMNS, export_csv
from mmreid.datasets.market_layout import CONVERSION_MARKER, IDENTITIES_FILE, convert_to_market
from tests.tool_runs import run_tool

from .conftest import write_image

SYNTHETIC = dict(num_train_pids=3, num_test_pids=2, num_cams=2, num_images=2, num_distractors=2, num_junk=2,
                 size=(32, 16))


class Folder(ReIDDataset):
    """Every image of a folder, named ``<pid>_<camid>_...``; identity 0 is somebody."""

    def load_records(self):
        folder = Path(self.data_root)
        names = sorted(path.name for path in folder.iterdir() if path.suffix != '.txt')
        return [dict(img_path=str(folder / name), pid=int(name.split('_')[0]), camid=int(name.split('_')[1]),
                     split='train') for name in names]


class Cropped(Folder):
    """Shows a part of each file."""

    def load_image(self, info):
        return super().load_image(info)[4:]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'ünï côdé'
    root.mkdir()
    for seed, name in enumerate(('0_1_a.jpg', '0_2_b.JPG', '3_1_c.png', '3_1_d.bmp', '-1_2_e.jpeg', '7_0_f.jpg')):
        write_image(root / name, seed)
    return root


def records(dataset):
    """What a record says, without the name of its file."""
    keys = ('pid', 'camid', 'split', 'gt_label', 'domain')
    return [tuple(dataset.get_data_info(row).get(key) for key in keys) for row in range(len(dataset))]


def market(root):
    return [Market1501(str(root), split=split, check_counts=False) for split in ('train', 'test')]


def state(root):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(root).rglob('*') if path.is_file()}


def images(root):
    return {path: content for path, content in state(root).items() if path.suffix == '.jpg'}


def run(tool, *arguments):
    return run_tool(f'dataset_converters/{tool}', *arguments, merge=True)


def interrupt_after(number, monkeypatch):
    replace, left = os.replace, iter(range(number))

    def interrupted(source, target):
        if next(left, None) is None:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(conversion.os, 'replace', interrupted)


# ---- writing -------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    write_file(str(path), b'old')

    def fail(source, target):
        raise OSError('no space left on device')

    monkeypatch.setattr(conversion.os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        write_file(str(path), b'new')
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['file']


def test_same_pixels_in_other_bytes_are_kept(tmp_path):
    image = write_image(tmp_path / 'one.png', 1)
    (tmp_path / 'two.png').write_bytes(cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())
    before = (tmp_path / 'two.png').read_bytes()
    data = encode_image(image, '.png')
    assert data != before and not write_image_once(str(tmp_path / 'two.png'), data)
    assert write_image_once(str(tmp_path / 'two.png'), data, force=True)
    assert (tmp_path / 'two.png').read_bytes() == data


# ---- to the layout of Market-1501 ----------------------------------------------------------------------------------


def test_market_to_market_is_the_same_dataset(market_tree, tmp_path):
    before = market(market_tree)
    written = convert_to_market(before, str(tmp_path / 'out'))
    assert {name: tuple(number) for name, number in written.items()} == dict(
        bounding_box_train=(6, 6), query=(3, 3), bounding_box_test=(6, 6))
    for one, two in zip(before, market(tmp_path / 'out')):
        assert sorted(records(one), key=str) == sorted(records(two), key=str)
        files = [sorted(Path(dataset.get_data_info(row)['img_path']).read_bytes() for row in range(len(dataset)))
                 for dataset in (one, two)]
        assert files[0] == files[1]
    assert not (tmp_path / 'out' / IDENTITIES_FILE).exists()


def test_names(market_tree, tmp_path):
    convert_to_market(market(market_tree), str(tmp_path / 'out'))
    assert sorted(os.listdir(tmp_path / 'out' / 'bounding_box_train'))[:2] == \
        ['0002_c1s1_000000_00.jpg', '0002_c2s1_000001_00.jpg']
    names = os.listdir(tmp_path / 'out' / 'bounding_box_test')
    assert sum(name.startswith('-1_c') for name in names) == 2 and sum(name.startswith('0000_c') for name in names) == 1


def test_multi_query_images_get_their_folder(market_tree, tmp_path):
    write_image(market_tree / 'gt_bbox' / '0003_c1s1_000001_00.jpg', 5)
    test = Market1501(str(market_tree), split='test', multi_query=True, check_counts=False)
    assert convert_to_market([test], str(tmp_path / 'out'))['gt_bbox'].images == 1
    assert records(Market1501(str(tmp_path / 'out'), split='test', multi_query=True, check_counts=False))[-1] == \
        records(test)[-1]


def test_drawn_pictures_are_encoded(tmp_path):
    datasets = [SyntheticReID('b', split, **SYNTHETIC) for split in ('train', 'test')]
    convert_to_market(datasets, str(tmp_path / 'out'))
    for one, two in zip(datasets, market(tmp_path / 'out')):
        assert sorted(records(one), key=str) == sorted(records(two), key=str)
    path = Path(market(tmp_path / 'out')[0].get_data_info(0)['img_path'])
    row = int(path.stem.split('_')[2])
    assert np.abs(read_image(path).astype(int) - datasets[0].get_image(row)).mean() < 8


def test_person_0_gets_a_free_number(folder, tmp_path):
    dataset = Folder(str(folder))
    convert_to_market([dataset], str(tmp_path / 'out'))
    assert json.loads((tmp_path / 'out' / IDENTITIES_FILE).read_text()) == {'Folder train': {'0': 8}}
    read = market_train(tmp_path / 'out')
    assert sorted(read.get_pids()) == [-1, 3, 3, 7, 8, 8] and read.num_classes == dataset.num_classes == 3
    assert sorted(read.get_camids()) == sorted(dataset.get_camids())


def market_train(root):
    return Market1501(str(root), check_counts=False)


def test_jpegs_are_copied_and_others_encoded(folder, tmp_path):
    convert_to_market([Folder(str(folder))], str(tmp_path / 'out'))
    out = tmp_path / 'out' / 'bounding_box_train'
    for name, new in (('0_1_a.jpg', '0008_c1s1_000001_00.jpg'), ('0_2_b.JPG', '0008_c2s1_000002_00.jpg'),
                      ('-1_2_e.jpeg', '-1_c2s1_000000_00.jpg')):
        assert (folder / name).read_bytes() == (out / new).read_bytes()
    for name, new in (('3_1_c.png', '0003_c1s1_000003_00.jpg'), ('3_1_d.bmp', '0003_c1s1_000004_01.jpg')):
        assert (out / new).read_bytes()[:2] == b'\xff\xd8'
        assert np.abs(read_image(folder / name).astype(int) - read_image(out / new)).mean() < 8


def test_what_a_dataset_shows_is_written_not_its_file(folder, tmp_path):
    convert_to_market([Cropped(str(folder))], str(tmp_path / 'out'))
    assert {read_image(path).shape for path in (tmp_path / 'out').rglob('*.jpg')} == {(28, 16, 3)}


def test_negative_cameras_and_broken_images(folder, tmp_path):
    (folder / '0_1_a.jpg').write_bytes((folder / '0_1_a.jpg').read_bytes()[:-40])
    with pytest.raises(ImageReadError, match='0_1_a.jpg" is truncated'):
        convert_to_market([Folder(str(folder))], str(tmp_path / 'out'))
    os.rename(folder / '0_1_a.jpg', folder / '0_-1_a.jpg')
    with pytest.raises(ValueError, match='0_-1_a.jpg" has the camera -1'):
        convert_to_market([Folder(str(folder))], str(tmp_path / 'other'))
    assert not (tmp_path / 'other').exists()


def test_datasets_that_do_not_fit_together(folder, tmp_path):
    with pytest.raises(ValueError, match='would get the same name'):
        convert_to_market([Folder(str(folder)), Folder(str(folder))], str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_interrupted_conversion_is_continued(market_tree, tmp_path, monkeypatch):
    datasets, out = market(market_tree), tmp_path / 'out'
    with monkeypatch.context() as patch:
        interrupt_after(8, patch)  # the marker and seven images
        with pytest.raises(KeyboardInterrupt):
            convert_to_market(datasets, str(out), source='here')
    before = images(out)
    assert len(before) == 7 and not list(out.rglob('*.part'))
    sum_new = sum(number.new for number in convert_to_market(datasets, str(out), source='here').values())
    after = images(out)
    assert sum_new == 8 and len(after) == 15 and all(after[path] == value for path, value in before.items())
    assert sum(number.new for number in convert_to_market(datasets, str(out), source='here').values()) == 0
    assert images(out) == after


def test_other_conversions_and_folders_are_refused(market_tree, folder, tmp_path):
    out = tmp_path / 'out'
    convert_to_market(market(market_tree), str(out), source='market')
    before = images(out)
    for datasets, source in ((market(market_tree), 'other'), ([Folder(str(folder))], 'market')):
        with pytest.raises(FileExistsError, match='conversion of something else; --force'):
            convert_to_market(datasets, str(out), source=source)
    assert images(out) == before
    (out / 'query' / 'notes.txt').write_text('mine')
    convert_to_market([Folder(str(folder))], str(out), source='other', force=True)
    assert len(images(out)) == 6 and (out / 'query' / 'notes.txt').is_file()
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'precious.jpg').write_text('precious')
    for force in (False, True):
        with pytest.raises(FileExistsError, match='not empty and holds no earlier conversion'):
            convert_to_market(market(market_tree), str(mine), force=force)
    assert os.listdir(mine) == ['precious.jpg']


def test_changed_images_are_not_overwritten(market_tree, tmp_path):
    out = tmp_path / 'out'
    convert_to_market(market(market_tree), str(out))
    victim = out / 'query' / sorted(os.listdir(out / 'query'))[0]
    whole = victim.read_bytes()
    write_image(victim, 99)
    with pytest.raises(FileExistsError, match='holds another image'):
        convert_to_market(market(market_tree), str(out))
    convert_to_market(market(market_tree), str(out), force=True)
    assert victim.read_bytes() == whole


def test_damaged_marker_needs_force(market_tree, tmp_path):
    convert_to_market(market(market_tree), str(tmp_path / 'out'))
    (tmp_path / 'out' / CONVERSION_MARKER).write_text('{"conv')
    with pytest.raises(FileExistsError, match='--force'):
        convert_to_market(market(market_tree), str(tmp_path / 'out'))
    convert_to_market(market(market_tree), str(tmp_path / 'out'), force=True)


# ---- to a table ----------------------------------------------------------------------------------------------------


def read_table(path):
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize('where', ['Market-1501-v15.09.15', 'elsewhere'])
def test_table_holds_the_records(market_tree, where):
    datasets = market(market_tree)
    (market_tree.parent / 'elsewhere').mkdir()
    path = market_tree.parent / where / 'all, "quoted".csv'
    assert export_csv(datasets, str(path)) == dict(train=6, query=3, gallery=6)
    rows = read_table(path)
    assert tuple(rows[0]) == COLUMNS
    infos = [dataset.get_data_info(row) for dataset in datasets for row in range(len(dataset))]
    for info, row in zip(infos, rows, strict=True):
        assert (str(info['pid']), str(info['camid']), info['split'], '0') == \
            (row['pid'], row['camid'], row['split'], row['domain'])
        assert os.path.isabs(row['path']) == (where == 'elsewhere')
        assert os.path.samefile(info['img_path'], path.parent / row['path'])


def test_paths_with_commas_and_other_letters(folder, tmp_path):
    os.rename(folder / '3_1_c.png', folder / '3_1_c, "d".png')
    export_csv([Folder(str(folder))], str(tmp_path / 'out.csv'))
    paths = [row['path'] for row in read_table(tmp_path / 'out.csv')]
    assert 'ünï côdé/3_1_c, "d".png' in paths and all((tmp_path / path).is_file() for path in paths)


def test_table_is_never_overwritten(market_tree, tmp_path):
    path = tmp_path / 'out.csv'
    path.write_text('mine')
    with pytest.raises(FileExistsError, match='out.csv" is there; --force'):
        export_csv(market(market_tree), str(path))
    assert path.read_text() == 'mine'
    export_csv(market(market_tree), str(path), force=True)
    assert len(read_table(path)) == 15


def test_table_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match='is no file. Pictures that a program draws have none'):
        export_csv([SyntheticReID('a', **SYNTHETIC)], str(tmp_path / 'out.csv'))
    with pytest.raises(FileNotFoundError, match='the folder of "out.csv", does not exist'):
        export_csv([], str(tmp_path / 'none' / 'out.csv'))
    assert not os.listdir(tmp_path)


def test_table_is_read_by_the_dataset_for_own_data(market_tree):
    folder_reader = pytest.importorskip('mmreid.datasets.folder')
    export_csv(market(market_tree), str(market_tree / 'all.csv'))
    read = [folder_reader.FolderReID(str(market_tree), split=split, annotations='all.csv')
            for split in ('train', 'test')]
    for one, two in zip(market(market_tree), read):
        assert len(one) == len(two)
        pairs = {(one.get_data_info(row)['pid'], two.get_data_info(row)['pid']) for row in range(len(one))}
        assert len(pairs) == len({pid for pid, _ in pairs}) == len({pid for _, pid in pairs})
        assert one.get_camids().tolist() == two.get_camids().tolist()
        assert one.get_splits().tolist() == two.get_splits().tolist()


def test_images_without_labels_need_no_split(tmp_path):
    for name in ('cam1/a.jpg', 'cam2/b.jpg'):
        (tmp_path / name).parent.mkdir()
        write_image(tmp_path / name, 1)
    out = tmp_path / 'list.csv'
    done = run('to_csv.py', out, '--type', 'FolderReID', '--data-root', tmp_path, '--options', 'labels=False',
               r'camera_pattern=cam(\d+)/')
    assert done.returncode == 0 and '2 images of train' in done.stdout, done.stdout
    assert [(row['path'], row['pid'], row['camid']) for row in read_table(out)] == [
        ('cam1/a.jpg', '-1', '1'), ('cam2/b.jpg', '-1', '2')]
    done = run('to_csv.py', tmp_path / 'b.csv', '--type', 'FolderReID', '--data-root', tmp_path, '--options',
               'labels=False', '--splits', 'test')
    assert done.returncode == 1 and 'a test needs identities' in done.stdout


# ---- commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def config(market_tree, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('\n'.join(
        f'{loader}_dataloader = dict(dataset=dict(type="Market1501", split="{split}", check_counts=False, '
        f'pipeline=[dict(type="LoadImage")], cache=True, data_root={str(market_tree)!r}))'
        for loader, split in (('train', 'train'), ('val', 'test'), ('test', 'test'))))
    return path


def test_to_market_command(config, tmp_path):
    done = run('to_market.py', config, '--splits', 'train', '--quality', '90', tmp_path / 'a')
    assert done.returncode == 0 and f'{tmp_path}/a/query: 0 images' in done.stdout, done.stdout
    done = run('to_market.py', config, tmp_path / 'out')
    assert done.returncode == 0, done.stdout
    for text in ('bounding_box_train: 6 images, 6 of them', 'query: 3 images', 'bounding_box_test: 6 images'):
        assert text in done.stdout
    done = run('to_market.py', config, '--quality', '80', tmp_path / 'out')
    assert done.returncode == 1 and done.stdout.strip().splitlines()[-1].endswith('--force replaces it')
    done = run('to_market.py', config, tmp_path / 'out', '--quality', '80', '--force')
    assert done.returncode == 0, done.stdout


def test_to_market_by_type(tmp_path):
    options = ['num_train_pids=2', 'num_test_pids=2', 'num_cams=2', 'num_images=2', 'num_junk=1', 'num_distractors=1']
    done = run('to_market.py', '--type', 'SyntheticReID', tmp_path / 'out', '--options', *options)
    assert done.returncode == 0 and 'bounding_box_train: 8 images, 8 of them written now' in done.stdout, done.stdout
    done = run('to_market.py', '--type', 'SyntheticReid', tmp_path / 'out')
    assert done.returncode == 1 and 'SyntheticReid' in done.stdout and 'Traceback' not in done.stdout
    done = run('to_market.py', tmp_path / 'out')
    assert done.returncode == 1 and done.stdout.strip() == 'give either a config or --type'


def test_to_csv_command(config, market_tree, tmp_path):
    shutil.rmtree(market_tree / 'gt_bbox')
    done = run('to_csv.py', config, market_tree / 'all.csv')
    assert done.returncode == 0 and 'all.csv: 6 images of gallery' in done.stdout, done.stdout
    assert all(not os.path.isabs(row['path']) for row in read_table(market_tree / 'all.csv'))
    done = run('to_csv.py', '--type', 'Market1501', '--data-root', market_tree, market_tree / 'all.csv')
    assert done.returncode == 1 and 'is there; --force replaces it' in done.stdout and 'Traceback' not in done.stdout


def test_force_never_empties_the_source(tmp_path, market_tree):
    dataset = Market1501(str(market_tree), check_counts=False)
    convert_to_market([dataset], str(tmp_path / 'copy'))
    copy = Market1501(str(tmp_path / 'copy'), check_counts=False)
    for force in (False, True):
        with pytest.raises(ValueError, match='holds images to be converted and lies in'):
            convert_to_market([copy], str(tmp_path / 'copy'), force=force)
    assert len(Market1501(str(tmp_path / 'copy'), check_counts=False)) == len(dataset)


def test_people_numbered_apart_are_not_mixed(tmp_path, market_tree, monkeypatch):
    train, test = (Market1501(str(market_tree), split=split, check_counts=False) for split in ('train', 'test'))
    monkeypatch.setattr(Market1501, 'NUMBERED_PER_SPLIT', True)
    for convert, out in ((convert_to_market, 'copy'), (export_csv, 'all.csv')):
        with pytest.raises(ValueError, match='number their people apart .*convert one at a time'):
            convert([train, test], str(tmp_path / out))
        convert([train], str(tmp_path / out))
