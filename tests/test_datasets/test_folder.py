import json
import logging
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from mmreid.datasets import DATA_ROOT_ENV, ImageReadError, PKSampler, ShuffleSampler
from mmreid.datasets.folder import FolderReID
from mmreid.registry import DATASETS

from .conftest import write_image

PIPELINE = [dict(type='LoadImage'), dict(type='PackReIDInputs')]


@pytest.fixture
def logged(monkeypatch):
    """Messages the datasets print, as ``(level, text)``."""
    messages = []

    def record(message, logger=None, level=logging.INFO):
        messages.append((level, message))

    for module in ('base', 'folder'):
        monkeypatch.setattr(f'mmreid.datasets.{module}.print_log', record)
    return messages


def warnings(logged):
    return [text for level, text in logged if level == logging.WARNING]


def make(root, names):
    """Write small images with these paths."""
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(root / name, seed)
    return str(root)


def grid(num_pids=8, cams=(1, 2), shots=2, name='{pid:04d}/p_c{cam}_{shot}.jpg', first=1):
    return [name.format(pid=pid, cam=cam, shot=shot)
            for pid in range(first, first + num_pids) for cam in cams for shot in range(shots)]


def paths(dataset):
    root = dataset.data_root
    return [os.path.relpath(dataset.get_data_info(row)['img_path'], root) for row in range(len(dataset))]


def table(dataset):
    """Everything about every image."""
    return sorted(zip(paths(dataset), dataset.get_pids().tolist(), dataset.get_camids().tolist(),
                      dataset.get_splits().tolist()))


# ---- folders of identities ---------------------------------------------------------------------------------------


def test_integer_folders_keep_their_numbers(tmp_path):
    root = make(tmp_path, ['0007/a.jpg', '0007/b.JPG', '12/c.Png', '0/d.jpeg', '0/e.BMP', '-1/junk.jpg'])
    dataset = FolderReID(root, 'all')
    assert paths(dataset) == ['-1/junk.jpg', '0/d.jpeg', '0/e.BMP', '0007/a.jpg', '0007/b.JPG', '12/c.Png']
    assert dataset.get_pids().tolist() == [-1, 0, 0, 7, 7, 12]
    assert dataset.get_labels().tolist() == [-1, 0, 0, 1, 1, 2]  # 0 is a person like any other
    assert dataset.num_classes == 3 and dataset.pid_names == {} and not dataset.has_cameras
    assert dataset.get_camids().tolist() == [0] * 6 and dataset.split == 'train'


def test_other_names_are_numbered_in_their_order(tmp_path, logged):
    root = make(tmp_path, ['zoë/a.jpg', 'anna/b.jpg', 'Karl der Große/c.jpg', '-1/d.jpg'])
    dataset = FolderReID(root, 'all')
    assert dataset.pid_names == {1: 'Karl der Große', 2: 'anna', 3: 'zoë'}
    assert dict(zip(paths(dataset), dataset.get_pids().tolist())) == {
        'zoë/a.jpg': 3, 'anna/b.jpg': 2, 'Karl der Große/c.jpg': 1, '-1/d.jpg': -1}
    assert any("no integers" in text and "2: 'anna'" in text for _, text in logged)
    assert any('3 of 3 identities have a single image: [1, 2, 3]' in text for _, text in logged)


def test_one_name_among_numbers_is_a_warning(tmp_path, logged):
    dataset = FolderReID(make(tmp_path, ['1/a.jpg', '2/b.jpg', '12a/c.jpg']), 'all')
    assert dataset.pid_names == {1: '1', 2: '12a', 3: '2'}
    assert any('not all integers' in text for text in warnings(logged))


def test_names_tell_the_identities_apart(tmp_path):
    one, two = (FolderReID(make(tmp_path / folder / 'mine', names), 'all') for folder, names in
                (('x', ['anna/a.jpg', 'ben/b.jpg']), ('y', ['anna/a.jpg', 'carl/b.jpg'])))
    assert one.get_pids().tolist() == two.get_pids().tolist()
    assert one.metainfo['identities'] != two.metainfo['identities']


def test_two_folders_of_one_number(tmp_path):
    with pytest.raises(ValueError, match="'0001' and '1' are both identity 1"):
        FolderReID(make(tmp_path, ['0001/a.jpg', '1/b.jpg']))


def test_nested_hidden_and_linked(tmp_path):
    make(tmp_path / 'root', ['1/x/y/a.jpg', '1/b.jpg', '1/._b.jpg', '1/.cache/c.jpg', '2/d.jpg'])
    make(tmp_path / 'elsewhere', ['e.jpg', 'f.jpg'])
    root = tmp_path / 'root'
    (root / '3').symlink_to(tmp_path / 'elsewhere')
    (root / '2' / 'link.jpg').symlink_to(tmp_path / 'elsewhere' / 'f.jpg')
    (root / '1' / 'loop').symlink_to(root / '1')
    dataset = FolderReID(str(root), 'all', pipeline=PIPELINE)
    assert paths(dataset) == ['1/b.jpg', '1/x/y/a.jpg', '2/d.jpg', '2/link.jpg', '3/e.jpg', '3/f.jpg']
    assert all(dataset[row]['inputs'].shape == (3, 32, 16) for row in range(6))


def test_spaces_and_other_scripts_in_paths(tmp_path):
    root = make(tmp_path / 'meine Bilder 画像', ['Łukasz Ó/ein Bild.jpg', 'Łukasz Ó/图.jpg'])
    dataset = FolderReID(root, 'all', pipeline=PIPELINE, cache=True)
    assert len(dataset) == 2 and dataset[0]['data_samples'].pid == 1


def test_what_is_left_out_is_named(tmp_path, logged):
    root = make(tmp_path, ['1/a.jpg', '1/b.jpg', '2/c.jpg', 'loose.jpg'])
    (tmp_path / '3').mkdir()
    (tmp_path / '4').mkdir()
    (tmp_path / '4' / 'notes.txt').write_text('no image')
    assert len(FolderReID(root, 'all')) == 3
    assert any("1 image(s)" in text and "'loose.jpg'" in text for text in warnings(logged))
    assert any("2 folder(s)" in text and "'3', '4'" in text for text in warnings(logged))


def test_link_that_leads_nowhere_is_an_error(tmp_path):
    root = make(tmp_path, ['1/a.jpg', '1/b.jpg'])
    (tmp_path / '1' / 'gone.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images do not exist.*\n.*gone\.jpg'):
        FolderReID(root, 'all')


# ---- wrong roots and options -------------------------------------------------------------------------------------


def test_wrong_root(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_ENV, str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        FolderReID('data/mine')
    for part in (str(tmp_path / 'mine'), 'does not exist', "data_root='data/mine'", DATA_ROOT_ENV, 'datasets.md'):
        assert part in str(error.value)
    (tmp_path / 'mine').write_text('')
    with pytest.raises(FileNotFoundError, match='is not a folder'):
        FolderReID('data/mine')
    with pytest.raises(ValueError, match='data_root must be the folder'):
        FolderReID('')


def test_environment_variable(tmp_path, monkeypatch):
    make(tmp_path / 'mine', ['1/a.jpg'])
    monkeypatch.setenv(DATA_ROOT_ENV, str(tmp_path))
    assert len(FolderReID('data/mine', 'all')) == 1


def test_no_images_and_no_identities(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(FileNotFoundError, match='no image was found in .*looked for .jpg'):
        FolderReID(str(tmp_path))
    with pytest.raises(FileNotFoundError, match='no image was found'):
        FolderReID(str(tmp_path), labels=False)
    make(tmp_path / 'a', ['x.jpg', 'y.jpg'])
    with pytest.raises(FileNotFoundError, match=r'holds 2 image\(s\).*no folder of an identity(.|\n)*labels=False'):
        FolderReID(str(tmp_path / 'a'))


@pytest.mark.parametrize('options, part', [
    (dict(split='val'), "one of train, test, all, got 'val'"),
    (dict(split='test', labels=False), 'a test needs identities.*--splits train'),
    (dict(test_pid_fraction=1.5), 'test_pid_fraction must lie from 0 to 1, got 1.5'),
    (dict(split_seed=-1), 'split_seed must not be negative'),
    (dict(camera_pattern='_c('), 'is no regular expression'),
    (dict(camera_pattern=r'_c\d'), 'needs a group'),
    (dict(camera_pattern=r'_k(\d)'), r"finds no number from 0 on in the names of 32 of 32 images: 0001/p_c1_0\.jpg"),
    (dict(test_pid_fraction=1.), 'no image belongs to it; there are 16 for gallery, 16 for query'),
    (dict(split='test', test_pid_fraction=0.), 'there are 32 for train'),
    (dict(num_pids=9), 'num_pids=9 of 4 identities'),
])
def test_impossible_options(tmp_path, options, part):
    root = make(tmp_path, grid(cams=(1, 2, 3, 4), shots=1))
    if 'test_pid_fraction' in options:
        root = make(tmp_path / 'other', grid())
        options = dict(options, camera_pattern=r'_c(\d)')
    with pytest.raises(ValueError, match=part):
        FolderReID(root, **options)


# ---- the drawn split ---------------------------------------------------------------------------------------------


def test_drawn_split(tmp_path, logged):
    root = make(tmp_path, grid(num_pids=9, shots=3))
    options = dict(camera_pattern=r'_c(\d+)', test_pid_fraction=1 / 3)
    train, test = (FolderReID(root, split, **options) for split in ('train', 'test'))
    assert train.num_classes == 6 and not set(train.get_pids()) & set(test.get_pids())
    assert len(train) + len(test) == 54 and not set(paths(train)) & set(paths(test))
    queries = test.get_splits() == 'query'
    keys = list(zip(test.get_pids()[queries].tolist(), test.get_camids()[queries].tolist()))
    assert sorted(keys) == sorted((pid, cam) for pid in set(test.get_pids().tolist()) for cam in (1, 2))
    assert queries.sum() == 6 and (test.get_splits() == 'gallery').sum() == 12
    assert any('3 of 9 identities are drawn for the test (test_pid_fraction=0.333333, split_seed=0)' in text
               for _, text in logged)
    assert not warnings(logged)


def test_seed_changes_the_split(tmp_path):
    root = make(tmp_path, grid(num_pids=12))
    drawn = [table(FolderReID(root, 'test', camera_pattern=r'_c(\d+)', split_seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_split_is_the_same_in_every_process(tmp_path):
    root = make(tmp_path, grid(num_pids=12, name='person {pid}/p_c{cam}_{shot}.jpg'))
    code = ('import sys, hashlib; from mmreid.datasets.folder import FolderReID\n'
            'for split in ("train", "test"):\n'
            '    data = FolderReID(sys.argv[1], split, camera_pattern="_c([0-9])")\n'
            '    print([(i["img_path"], i["pid"], i["split"], i.get("gt_label")) for i in map(data.get_data_info, '
            'range(len(data)))], data.metainfo, file=sys.stderr)')
    found = [subprocess.run([sys.executable, '-c', code, root], env=dict(os.environ, PYTHONHASHSEED=seed), text=True,
                            capture_output=True, check=True).stderr.splitlines()[-2:] for seed in ('1', '77')]
    assert found[0] == found[1] and 'person 3' in found[0][0] + found[0][1]


def test_extremes_of_the_fraction(tmp_path):
    root = make(tmp_path, grid(num_pids=3))
    options = dict(camera_pattern=r'_c(\d+)')
    assert FolderReID(root, test_pid_fraction=0, **options).num_classes == 3
    assert FolderReID(root, test_pid_fraction=0.01, **options).num_classes == 2
    assert FolderReID(root, test_pid_fraction=0.99, **options).num_classes == 1
    assert len(FolderReID(root, 'test', test_pid_fraction=1, **options)) == 12


def queries_of(tmp_path, names, **options):
    options = dict(dict(camera_pattern=r'_c(\d+)', test_pid_fraction=1), **options)
    dataset = FolderReID(make(tmp_path, names), 'test', **options)
    return [path for path, split in zip(paths(dataset), dataset.get_splits()) if split == 'query']


def test_every_query_has_a_match(tmp_path, logged):
    names = ['1/a_c1.jpg', '1/b_c1.jpg', '1/c_c2.jpg',  # camera 2 has a single image: it is gallery
             '2/a_c1.jpg', '2/b_c4.jpg', '2/c_c3.jpg',  # single shots: that of the first camera asks
             '3/a_c1.jpg', '3/b_c1.jpg', '4/a_c2.jpg']  # seen by one camera only: nobody could match
    queries = queries_of(tmp_path, names)
    assert len(queries) == 2 and queries[0] in ('1/a_c1.jpg', '1/b_c1.jpg') and queries[1] == '2/a_c1.jpg'
    assert not warnings(logged)


def test_query_of_an_identity_does_not_depend_on_the_others(tmp_path):
    names = grid(num_pids=6, shots=6)
    few = queries_of(tmp_path / 'few', names[:36])
    assert few == queries_of(tmp_path / 'many', names)[:len(few)]
    assert len({path[-5] for path in few}) > 1  # not always the first


def test_without_cameras(tmp_path, logged):
    names = grid(num_pids=4, cams=(0, ), shots=3) + ['9/single.jpg']
    test = FolderReID(make(tmp_path, names), 'test', test_pid_fraction=1)
    assert not test.has_cameras and Counter(test.get_splits().tolist()) == dict(query=4, gallery=9)
    assert len(warnings(logged)) == 1 and "protocols=['all']" in warnings(logged)[0]


def test_a_single_camera_is_none(tmp_path, logged):
    assert len(queries_of(tmp_path, grid(num_pids=3, cams=(5, )))) == 3
    assert any("protocols=['all']" in text for text in warnings(logged))


def test_nothing_to_evaluate(tmp_path):
    with pytest.raises(ValueError, match='no identity has a query and an image in the gallery'):
        queries_of(tmp_path, ['1/a.jpg', '2/b.jpg'], camera_pattern=None)


def test_evaluation_without_cameras(tmp_path):
    from mmreid.evaluation import evaluate_ranking
    dataset = FolderReID(make(tmp_path, grid(num_pids=4)), 'test', test_pid_fraction=1)
    pids, camids, query = dataset.get_pids(), dataset.get_camids(), dataset.get_splits() == 'query'
    feats = np.eye(5, dtype=np.float32)[pids]
    found = evaluate_ranking(feats[query], feats[~query], pids[query], pids[~query], camids[query], camids[~query],
                             protocol='all')
    assert found['mAP'] == 100


# ---- splits by folders -------------------------------------------------------------------------------------------


@pytest.fixture
def parts_tree(tmp_path):
    return make(tmp_path, ['train/anna/a_c1.jpg', 'train/ben/b_c1.jpg', 'query/carl/c_c1.jpg', 'gallery/carl/d_c2.jpg',
                           'gallery/dora/e_c2.jpg', 'thumbnails/f.jpg'])


def test_parts_by_folders(parts_tree, logged):
    train, test, everything = (FolderReID(parts_tree, split, camera_pattern=r'_c(\d)')
                               for split in ('train', 'test', 'all'))
    assert train.get_pids().tolist() == [1, 2] and train.num_classes == 2
    assert table(test) == [('gallery/carl/d_c2.jpg', 3, 2, 'gallery'), ('gallery/dora/e_c2.jpg', 4, 2, 'gallery'),
                           ('query/carl/c_c1.jpg', 3, 1, 'query')]
    assert everything.num_classes == 4 and set(everything.get_splits()) == {'train'}
    assert train.pid_names == test.pid_names == {1: 'anna', 2: 'ben', 3: 'carl', 4: 'dora'}
    assert all("'thumbnails' in it is ignored" in text for text in warnings(logged))


def test_missing_part(tmp_path):
    root = make(tmp_path, ['train/1/a.jpg', 'train/1/b.jpg'])
    with pytest.raises(ValueError, match='FolderReID.* test: no image belongs to it; there are 2 for train'):
        FolderReID(root, 'test')


def test_part_without_identities(tmp_path):
    root = make(tmp_path, ['query/0001_c1s1_1.jpg', 'gallery/0001_c2s1_1.jpg'])
    with pytest.raises(FileNotFoundError, match=r'query" holds 1 image(.|\n)*Market1501'):
        FolderReID(root, 'test')


def test_identity_on_both_sides_is_a_warning(tmp_path, logged):
    root = make(tmp_path, ['train/1/a.jpg', 'query/1/b.jpg', 'gallery/1/c.jpg'])
    FolderReID(root, 'test')
    assert any('1 identities are in training and test: [1]' in text for text in warnings(logged))


# ---- lists -------------------------------------------------------------------------------------------------------

NAMES = ['x/1.jpg', 'x/2.jpg', 'y/3.jpg', 'y/4.jpg']


def listed(tmp_path, text, name='list.csv', encoding='utf-8'):
    make(tmp_path, NAMES)
    (tmp_path / name).write_bytes(text.encode(encoding))
    return dict(data_root=str(tmp_path), annotations=name)


@pytest.mark.parametrize('text, encoding', [
    ('path,pid,camid,split\nx/1.jpg,5,1,train\nx/2.jpg,6,1,query\ny/3.jpg,6,2,gallery\n', 'utf-8'),
    ('path,pid,camid,split\r\nx/1.jpg,5,1,train\r\n\r\nx/2.jpg,6,1,query\r\ny/3.jpg,6,2,gallery', 'utf-8-sig'),
    ('Split;PID;note; path;CamID\ntrain;5;"a;b";x/1.jpg;1\nQuery;6;;x\\2.jpg;1\ngallery; 6;;y/3.jpg;2\n', 'utf-8-sig'),
])
def test_csv(tmp_path, text, encoding):
    options = listed(tmp_path, text, encoding=encoding)
    assert table(FolderReID(**options)) == [('x/1.jpg', 5, 1, 'train')]
    assert table(FolderReID(split='test', **options)) == [('x/2.jpg', 6, 1, 'query'), ('y/3.jpg', 6, 2, 'gallery')]


def test_json(tmp_path):
    entries = [dict(path=str(tmp_path / 'x/1.jpg'), pid='anna', split='train'),
               dict(path='x/2.jpg', pid='ben', split='query'),
               dict(path='y/3.jpg', pid='ben', split='gallery', camid=None)]
    options = listed(tmp_path, json.dumps(entries), 'list.JSON')
    test = FolderReID(split='test', **options)
    assert not test.has_cameras and test.pid_names == {1: 'anna', 2: 'ben'} and test.get_pids().tolist() == [2, 2]
    assert table(FolderReID(**options)) == [('x/1.jpg', 1, 0, 'train')]


def test_list_keeps_its_order_and_leaves_the_rest_out(tmp_path):
    dataset = FolderReID(split='all', **listed(tmp_path, 'path,pid\ny/4.jpg,2\nx/1.jpg,1\n'))
    assert paths(dataset) == ['y/4.jpg', 'x/1.jpg']


HEAD = 'path,pid,camid,split\nx/1.jpg,1,1,train\n'


@pytest.mark.parametrize('text, part', [
    ('', r'line 1: expected a header path,pid'),
    ('x/1.jpg,1\n', r"line 1: expected a header .* got 'x/1.jpg,1'"),
    ('path,path,pid\n', 'line 1: expected a header'),
    ('path,pid\n', 'lists no image'),
    ('path,camid\nx/1.jpg,1\n', r'line 2: no pid'),
    (HEAD + 'x/2.jpg,2,1\n', r'line 3: 4 values expected \(path,pid,camid,split\), got 3'),
    (HEAD + ',2,1,train\n', 'line 3: no path'),
    (HEAD + 'x/2.jpg,,1,train\n', 'line 3: no pid'),
    (HEAD + '\nx/2.jpg,2,1,test\n', "line 4: split must be one of train, query, gallery, multi_query, got 'test'"),
    (HEAD + 'x/2.jpg,2,c1,train\n', "line 3: camid must be an integer from 0 on, got 'c1'"),
    (HEAD + 'x/2.jpg,2,-1,train\n', "line 3: camid must be an integer from 0 on, got '-1'"),
    (HEAD + 'x/2.jpg,2,,train\n', r'line 3: no camid, though others have one \(1 of 2 have none\)'),
    (HEAD + 'x/2.jpg,2,1,\n', 'line 3: no split, though others'),
    (HEAD + 'x/../x/1.jpg,2,1,train\n', r'line 3: "x/../x/1.jpg" is listed twice, first at line 2'),
    (HEAD + '"x/2.jpg\n', r'line 3: 4 values expected'),
])
def test_bad_lines(tmp_path, text, part):
    with pytest.raises(ValueError, match=part):
        FolderReID(**listed(tmp_path, text))


@pytest.mark.parametrize('text, part', [
    ('[{"path": "x/1.jpg",\n "pid": 1},\n', 'line 3: not JSON'),
    ('{"path": 1}', 'expected a list of objects, got dict'),
    ('[{"path": "x/1.jpg", "pid": 1}, 3]', 'entry 2: expected an object, got 3'),
    ('[{"path": "x/1.jpg", "pid": 1.5}]', 'entry 1: pid must be text or an integer, got 1.5'),
    ('[{"path": "x/1.jpg", "pid": true}]', 'entry 1: pid must be text'),
    ('[{"path": "x/1.jpg"}]', 'entry 1: no pid'),
    ('[]', 'lists no image'),
])
def test_bad_entries(tmp_path, text, part):
    with pytest.raises(ValueError, match=part):
        FolderReID(**listed(tmp_path, text, 'list.json'))


def test_other_problems_of_lists(tmp_path):
    options = listed(tmp_path, 'path,pid\nx/1.jpg,zoë\n', encoding='latin-1')
    with pytest.raises(ValueError, match='is not UTF-8'):
        FolderReID(**options)
    with pytest.raises(FileNotFoundError, match='does not exist. A relative path is looked up in data_root'):
        FolderReID(str(tmp_path), annotations='no.csv')
    with pytest.raises(ValueError, match='must be a file .csv or .json'):
        FolderReID(str(tmp_path), annotations='list.txt')
    with pytest.raises(ValueError, match='has cameras; give them there or by camera_pattern'):
        FolderReID(camera_pattern=r'(\d)', **listed(tmp_path, HEAD))


def test_absent_images_are_counted_and_named(tmp_path):
    text = 'path,pid\nx/1.jpg,1\n' + ''.join(f'x/no{number}.jpg,2\n' for number in range(7))
    match = r'7 of 8 images do not exist(.|\n)*no0\.jpg" \(.*line 3\)(.|\n)*\.\.\.'
    with pytest.raises(FileNotFoundError, match=match):
        FolderReID(split='all', **listed(tmp_path, text))


# ---- writing the split -------------------------------------------------------------------------------------------


@pytest.mark.parametrize('pattern', [None, r'_c(\d)'])
def test_written_split_reads_the_same(tmp_path, pattern):
    root = make(tmp_path / 'mine', grid(name='Ä {pid}/p_c{cam}_{shot}.jpg') + ['-1/junk_c1.jpg'])
    drawn = {split: FolderReID(root, split, split_seed=3, camera_pattern=pattern) for split in ('train', 'test')}
    out = tmp_path / 'split.csv'
    drawn['train'].write_split(str(out))
    text = out.read_text(encoding='utf-8')
    drawn['test'].write_split(str(out), force=True)
    assert out.read_text(encoding='utf-8') == text
    assert text.splitlines()[0] == ('path,pid,split' if pattern is None else 'path,pid,camid,split')
    for split, dataset in drawn.items():
        again = FolderReID(root, split, annotations=str(out))
        assert table(again) == table(dataset) and again.pid_names == dataset.pid_names
        assert again.metainfo.get('identities') == dataset.metainfo.get('identities')
    with pytest.raises(FileExistsError):
        drawn['train'].write_split(str(out))
    with pytest.raises(ValueError, match='no split to write'):
        FolderReID(root, labels=False).write_split(str(out))


def test_reading_writes_nothing(tmp_path):
    root = make(tmp_path, grid())
    before = sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob('*'))
    for split in ('train', 'test', 'all'):
        FolderReID(root, split, camera_pattern=r'_c(\d)', cache=True)
    assert sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob('*')) == before


# ---- without labels ----------------------------------------------------------------------------------------------


def test_unlabelled_images_stay(tmp_path):
    root = make(tmp_path, ['a_c1.jpg', 'deep/er/b_c2.jpg', 'c_c1.PNG'])
    for split in ('train', 'all'):
        dataset = FolderReID(root, split, labels=False, camera_pattern=r'_c(\d)', pipeline=PIPELINE)
        assert paths(dataset) == ['a_c1.jpg', 'c_c1.PNG', 'deep/er/b_c2.jpg']
        assert dataset.get_pids().tolist() == dataset.get_labels().tolist() == [-1] * 3 and dataset.num_classes == 0
        assert dataset.get_camids().tolist() == [1, 1, 2] and 'train 3 images / 0 identities' in dataset.summary()
    assert sorted(map(int, ShuffleSampler(dataset, seed=0))) == [0, 1, 2] and dataset[2]['data_samples'].pid == -1
    with pytest.raises(ValueError, match='has 0'):
        next(iter(PKSampler(dataset, 1, 2, seed=0)))  # not before: rounds of pseudo labels label a pool later


def test_known_labels_are_ignored(tmp_path, parts_tree, logged):
    assert len(FolderReID(parts_tree, labels=False)) == 2  # train
    assert len(FolderReID(parts_tree, 'all', labels=False)) == 5
    root = make(tmp_path / 'ids', grid(num_pids=3))
    dataset = FolderReID(root, labels=False)
    assert len(dataset) == 12 and set(dataset.get_pids()) == {-1}
    assert any('all images are training data, also those of a drawn test' in text for _, text in logged)
    options = listed(tmp_path / 'list', 'path,pid,split\nx/1.jpg,1,train\nx/2.jpg,1,query\n')
    assert FolderReID(labels=False, **options).get_pids().tolist() == [-1]
    options = listed(tmp_path / 'bare', 'path\nx/1.jpg\nx/2.jpg\n')
    assert FolderReID(labels=False, **options).get_pids().tolist() == [-1, -1]


def test_a_list_without_labels_may_have_cameras(tmp_path):
    options = listed(tmp_path, 'path,camid\nx/1.jpg,4\ny/3.jpg,2\n')
    dataset = FolderReID(labels=False, **options)
    assert table(dataset) == [('x/1.jpg', -1, 4, 'train'), ('y/3.jpg', -1, 2, 'train')] and dataset.reads_cameras


# ---- cameras in folders, and what looks wrong ----------------------------------------------------------------------


def test_cameras_in_folders(tmp_path, logged):
    root = make(tmp_path, ['cam1/a.jpg', 'cam1/deep/b_cam7.jpg', 'cam12/c.jpg'])
    dataset = FolderReID(root, labels=False, camera_pattern=r'cam(\d+)/')
    assert dataset.get_camids().tolist() == [1, 1, 12] and dataset.reads_cameras and not warnings(logged)
    (tmp_path / 'list.csv').write_text(f'path,pid\n{tmp_path}/cam12/c.jpg,1\ncam1/a.jpg,1\n')
    listed = FolderReID(root, 'all', annotations='list.csv', camera_pattern=r'^cam(\d+)/')
    assert table(listed) == [('cam1/a.jpg', 1, 1, 'train'), ('cam12/c.jpg', 1, 12, 'train')]


def test_names_are_searched_where_folders_are_not_meant(tmp_path):
    root = make(tmp_path, ['set_c3/0001_c1.jpg', 'set_c4/0001_c2.jpg'])
    assert FolderReID(root, labels=False, camera_pattern=r'_c(\d+)').get_camids().tolist() == [1, 2]
    assert FolderReID(root, labels=False, camera_pattern=r'_c(\d+)/').get_camids().tolist() == [3, 4]


def test_a_pattern_that_only_folders_have(tmp_path):
    root = make(tmp_path, ['cam1/a.jpg', 'cam2/b.jpg'])
    with pytest.raises(ValueError, match=r'in the names of 2 of 2 images: cam1/a.jpg.*in their folders.*a / in it'):
        FolderReID(root, labels=False, camera_pattern=r'cam(\d+)')
    with pytest.raises(ValueError, match=r'in the paths of 2 of 2 images: cam1/a.jpg, cam2/b.jpg$'):
        FolderReID(root, labels=False, camera_pattern=r'view(\d+)/')


def test_more_loose_images_than_others_are_no_identities(tmp_path):
    root = make(tmp_path, ['a.jpg', 'b.jpg', 'sub/c.jpg'])
    with pytest.raises(ValueError, match=r"holds 2 images \('a.jpg', 'b.jpg'\) beside 1 folder\(s\) \('sub'\) with 1"):
        FolderReID(root)
    assert len(FolderReID(root, labels=False)) == 3


@pytest.mark.parametrize('folders, option', [
    (('cam1', 'cam2'), r"camera_pattern=r'cam(\d+)/'"), (('Cam .01', 'Cam .02'), r"camera_pattern=r'Cam\s\.(\d+)/'"),
    (('cam1', 'kamera2'), r"camera_pattern=r'(\d+)/'"), (('cam.a', 'cam.b'), 'path,camid, as these cameras have no')])
def test_identities_named_like_cameras(tmp_path, logged, folders, option):
    root = make(tmp_path, [f'{folder}/{row}.jpg' for folder in folders for row in range(2)])
    notes = FolderReID(root, 'all').notes
    assert [note.kind for note in notes] == ['camera-folders'] and option in notes[0].text
    assert notes[0].text in warnings(logged)[0]
    if 'camera_pattern' in option:  # it does what it says
        pattern = option.split("'")[1]
        assert FolderReID(root, labels=False, camera_pattern=pattern).get_camids().tolist() == [1, 1, 2, 2]


def test_images_of_other_formats_are_named(tmp_path, logged):
    root = make(tmp_path, ['1/a.jpg', '1/b.jpg'])
    for name in ('1/c.webp', '1/deep/d.TIFF', 'e.heic', '1/.f.webp', '1/notes.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'x')
    for labels in (True, False):
        notes = FolderReID(root, 'all', labels=labels).notes
        assert [note.kind for note in notes] == ['other-format'] and notes[0].text.startswith('3 image(s)')
        assert '1/c.webp' in notes[0].text and '1/deep/d.TIFF' in notes[0].text and "'e.heic'" in notes[0].text
    for name in ('a.jpg', 'b.jpg'):
        (tmp_path / '1' / name).unlink()
    with pytest.raises(FileNotFoundError, match=r'no image was found.*There are 3 of other formats.*convert them'):
        FolderReID(root)


# ---- as any dataset ----------------------------------------------------------------------------------------------


def test_options_of_the_base_class(tmp_path):
    root = make(tmp_path, grid(num_pids=6))
    options = dict(type='FolderReID', data_root=root, camera_pattern=r'_c(\d)')
    assert DATASETS.build(dict(options, split='all', num_pids=2, keep_camids=[1])).get_camids().tolist() == [1] * 4
    labelled = DATASETS.build(dict(options, split='all', num_labeled_ids=2))
    assert labelled.num_classes == 2 and (labelled.get_labels() == -1).sum() == 16
    lazy = DATASETS.build(dict(options, lazy_init=True, domain_id=4))
    assert lazy.num_classes == 3 and lazy.get_data_info(0)['domain'] == 4
    assert lazy.get_subset([0, 1]).num_classes == 3


def test_unreadable_image_is_named(tmp_path):
    root = make(tmp_path, ['1/a.jpg', '1/b.jpg'])
    (tmp_path / '1' / 'b.jpg').write_bytes(b'')
    with pytest.raises(ImageReadError, match='b.jpg" is empty'):
        FolderReID(root, 'all', cache=True)


def test_parent_folder_is_suggested(tmp_path):
    for name in ('1/a.jpg', '2/b.jpg'):
        (tmp_path / 'mine' / name).parent.mkdir(parents=True)
        write_image(tmp_path / 'mine' / name, 1)
    with pytest.raises(FileNotFoundError, match=r"one level down. Did you mean data_root='.*mine'"):
        FolderReID(str(tmp_path))
    assert len(FolderReID(str(tmp_path / 'mine'), split='all')) == 2


@pytest.mark.parametrize('parts', [('train', 'test'), ('val', 'test')])
def test_other_names_of_parts(tmp_path, parts):
    for part in parts:
        (tmp_path / part / '1').mkdir(parents=True)
        write_image(tmp_path / part / '1' / 'a.jpg', 1)
    with pytest.raises(ValueError, match='the parts of a test are called query and gallery'):
        FolderReID(str(tmp_path))


def test_one_name_written_in_two_ways(tmp_path):
    for number, name in enumerate(('caf\u00e9', 'cafe\u0301')):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / 'a.jpg', number)
    with pytest.raises(ValueError, match='is written in two ways'):
        FolderReID(str(tmp_path), split='all')
