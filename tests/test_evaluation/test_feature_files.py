"""Features on disk, of our own making and foreign."""

import csv

import numpy as np
import pytest
import torch

from mmreid.evaluation import FeatureFileError, Features, read_features, read_image_features, write_features

SIZES = dict(query=3, gallery=7, multi_query=2, train=4)


def make_arrays(seed=0):
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, rows in SIZES.items():
        arrays[f'{split}_feats'] = rng.standard_normal((rows, 5)).astype(np.float32)
        arrays[f'{split}_pids'] = rng.integers(0, 9, rows)
        arrays[f'{split}_camids'] = rng.integers(0, 3, rows)
    return arrays


def test_round_trip(tmp_path):
    arrays = make_arrays()
    splits = {name: Features(*(torch.from_numpy(arrays[f'{name}_{key}']) for key in ('feats', 'pids', 'camids')),
                             torch.arange(rows) + 10) for name, rows in SIZES.items()}
    write_features(tmp_path / 'new' / 'feats.npz', splits)
    found = read_features(tmp_path / 'new' / 'feats.npz')
    assert list(found) == list(SIZES)
    for name, split in found.items():
        for key, value in vars(splits[name]).items():
            assert (getattr(split, key) == value).all() and getattr(split, key).dtype == value.dtype


def test_paths_of_images(tmp_path):
    splits = {name: Features(torch.rand(2, 5), torch.arange(2), None, torch.tensor(rows))
              for name, rows in (('query', [3, 1]), ('gallery', [0, 2]))}
    write_features(tmp_path / 'f.npz', splits, {0: 'a.jpg', 1: 'b/é.jpg', 2: '', 3: 'd.jpg'})
    found = read_image_features(tmp_path / 'f.npz')
    assert {name: paths for name, (_, paths) in found.items()} == {'query': ['d.jpg', 'b/é.jpg'],
                                                                   'gallery': ['a.jpg', '']}
    assert (found['query'][0] == splits['query'].feats.numpy()).all()
    assert read_features(tmp_path / 'f.npz')['query'].sample_idx.tolist() == [3, 1]
    write_features(tmp_path / 'old.npz', splits)
    assert read_image_features(tmp_path / 'old.npz')['query'][1] is None


def test_foreign_file(tmp_path):
    arrays = {key: value for key, value in make_arrays().items() if key.startswith(('query', 'gallery'))}
    arrays['query_feats'] = arrays['query_feats'].astype(np.float16)
    arrays['gallery_pids'] = arrays['gallery_pids'].astype(np.uint16)
    del arrays['query_camids'], arrays['gallery_camids']
    np.savez_compressed(tmp_path / 'foreign.npz', something_else=np.zeros(3), **arrays)
    found = read_features(str(tmp_path / 'foreign.npz'))
    assert list(found) == ['query', 'gallery']
    assert found['query'].camids is None and found['query'].feats.dtype == torch.float32
    assert found['gallery'].pids.dtype == torch.int64 and found['gallery'].sample_idx.tolist() == list(range(7))


def write_matrix(folder, splits, columns=('split', 'pid', 'camid'), rows=None):
    matrix = np.random.default_rng(0).standard_normal((len(splits), 5)).astype(np.float32)
    np.save(folder / 'feats.npy', matrix)
    with open(folder / 'labels.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows if rows is not None else
                         [[split, number % 4, number % 3][:len(columns)] for number, split in enumerate(splits)])
    return matrix


def test_matrix_with_labels(tmp_path):
    splits = ['query'] * 3 + ['gallery'] * 5
    matrix = write_matrix(tmp_path, splits)
    found = read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')
    assert (found['query'].feats.numpy() == matrix[:3]).all() and (found['gallery'].feats.numpy() == matrix[3:]).all()
    assert found['gallery'].pids.tolist() == [3, 0, 1, 2, 3] and found['gallery'].camids.tolist() == [0, 1, 2, 0, 1]
    # Rows that stand together are those of the file.
    on_disk = np.load(tmp_path / 'feats.npy', mmap_mode='r+')
    on_disk[5, 0] = 42
    on_disk.flush()
    assert found['gallery'].feats[2, 0] == 42


def test_labels_from_a_spreadsheet(tmp_path):
    write_matrix(tmp_path, ['query', 'gallery'])
    text = (tmp_path / 'labels.csv').read_text()
    (tmp_path / 'labels.csv').write_bytes(b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode())
    assert read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')['gallery'].pids.tolist() == [1]


@pytest.mark.parametrize('text', ['split;pid;camid\nquery;1;2\ngallery;3;4\n',
                                  'Split, PID ,CamID\nquery, 1, 2\ngallery ,3,4\n',
                                  'split\tpid\tcamid\nquery\t1\t2\ngallery\t3\t4'])
def test_separators_blanks_and_case(tmp_path, text):
    write_matrix(tmp_path, ['query', 'gallery'])
    (tmp_path / 'labels.csv').write_text(text)
    found = read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')
    assert found['query'].camids.tolist() == [2] and found['gallery'].pids.tolist() == [3]


def test_whole_numbers_written_as_floats(tmp_path):
    arrays = make_arrays()
    arrays['gallery_pids'] = arrays['gallery_pids'].astype(np.float64)
    np.savez(tmp_path / 'feats.npz', **arrays)
    assert read_features(tmp_path / 'feats.npz')['gallery'].pids.tolist() == arrays['gallery_pids'].tolist()


def test_an_earlier_file_survives_a_failed_write(tmp_path, monkeypatch):
    splits = {'query': Features(torch.ones(2, 3), torch.arange(2), None, torch.arange(2))}
    write_features(tmp_path / 'feats.npz', splits)
    before = (tmp_path / 'feats.npz').read_bytes()

    def full(path, **arrays):
        path.write_bytes(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(np, 'savez', full)
    with pytest.raises(OSError, match='No space left'):
        write_features(tmp_path / 'feats.npz', splits)
    assert (tmp_path / 'feats.npz').read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('dtype, expected', [('<f2', torch.float32), ('>f8', torch.float64), ('i8', torch.float64)])
def test_other_types_are_widened(tmp_path, dtype, expected):
    write_matrix(tmp_path, ['query', 'gallery'])
    np.save(tmp_path / 'feats.npy', np.array([[1, 2], [3, 4]], dtype))
    found = read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')['gallery'].feats
    assert found.dtype == expected and found.tolist() == [[3, 4]]


def test_matrix_with_mixed_rows_and_without_cameras(tmp_path):
    matrix = write_matrix(tmp_path, ['query', 'gallery', 'query', 'gallery'], columns=('split', 'pid'))
    found = read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')
    assert (found['query'].feats.numpy() == matrix[::2]).all() and found['gallery'].camids is None
    assert found['gallery'].sample_idx.tolist() == [1, 3]


@pytest.mark.parametrize('change, message', [
    (lambda a: a.pop('query_feats'), 'lacks query_feats; needed: arrays <split>_feats'),
    (lambda a: a.pop('gallery_pids'), 'lacks gallery_pids'),
    (lambda a: a.update(query_pids=np.arange(4)), 'query: pids must be 3 integers, got int64 of shape .4,.'),
    (lambda a: a.update(query_camids=np.arange(3.) + .5), 'camids must be 3 integers, got float64'),
    (lambda a: a.update(query_pids=np.array(['x', 'y', 'z'])), 'pids must be 3 integers, got <U1 .*np.unique.names'),
    (lambda a: a.update(query_pids=np.array([1, None, 3])), 'query_pids holds Python objects; save numbers'),
    (lambda a: a.update(gallery_feats=np.zeros(7)), 'gallery: features must be real numbers of shape .N, C.'),
    (lambda a: a.update(gallery_feats=np.zeros((0, 5))), 'with at least one row, got float64 of shape .0, 5.'),
    (lambda a: a['gallery_feats'].__setitem__((slice(2, 4), 1), np.nan), 'NaN or infinite features in 2 rows: 2, 3'),
    (lambda a: a['query_feats'].__setitem__((1, 1), np.inf), 'query: NaN or infinite features in 1 rows: 1'),
    (lambda a: a.clear(), 'has no features; needed: .*found: nothing'),
])
def test_wrong_archives(tmp_path, change, message):
    arrays = make_arrays()
    change(arrays)
    np.savez(tmp_path / 'feats.npz', **arrays)
    with pytest.raises(FeatureFileError, match=message):
        read_features(tmp_path / 'feats.npz')


@pytest.mark.parametrize('changes, message', [
    (dict(columns=('part', 'pid')), 'needs a header with split, pid and, where known, camid, .* found: part,pid'),
    (dict(columns=('split', 'pid', 'pid')), 'each once; found: split,pid,pid'),
    (dict(rows=[['query', 1, 1], ['gallery', 10**30, 1]]), 'line 3: pid must be an integer of at most 64 bits'),
    (dict(rows=[['query', 1, 1]]), 'has 1 lines below its header, .* has shape .2, 5.'),
    (dict(rows=[['query', 1, 1], []]), 'has 1 lines'),
    (dict(rows=[['query', 1, 1], ['probe', 1, 1]]), "has the split 'probe'; known: query, gallery"),
    (dict(rows=[['query', 1, 1], ['gallery', 'x', 1]]), "line 3: pid must be an integer of at most 64 bits, got 'x'"),
    (dict(rows=[['query', 1, 1], ['gallery', 1]]), 'line 3: camid must be an integer of at most 64 bits, got nothing'),
])
def test_wrong_labels(tmp_path, changes, message):
    write_matrix(tmp_path, ['query', 'gallery'], **changes)
    with pytest.raises(FeatureFileError, match=message):
        read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')


def test_wrong_files(tmp_path):
    for name in ('feats.npz', 'feats.npy'):
        with pytest.raises(FileNotFoundError, match='there is no file of features'):
            read_features(tmp_path / name)
    write_matrix(tmp_path, ['query', 'gallery'])
    with pytest.raises(FeatureFileError, match='a CSV file with the columns split, pid, camid'):
        read_features(tmp_path / 'feats.npy')
    with pytest.raises(FileNotFoundError, match='no file of labels'):
        read_features(tmp_path / 'feats.npy', tmp_path / 'missing.csv')
    (tmp_path / 'feats.pkl').write_bytes(b'x')
    with pytest.raises(FeatureFileError, match=r'as \*.npz or as \*.npy'):
        read_features(tmp_path / 'feats.pkl')
    np.savez(tmp_path / 'whole.npz', **make_arrays())
    whole = (tmp_path / 'whole.npz').read_bytes()
    np.save(tmp_path / 'one.npy', np.zeros(3))
    damaged = bytearray(whole)
    damaged[200] ^= 255
    for content in (b'PK not an archive', whole[:len(whole) // 2], bytes(damaged), (tmp_path / 'one.npy').read_bytes()):
        (tmp_path / 'broken.npz').write_bytes(content)
        with pytest.raises(FeatureFileError, match='broken.npz cannot be read'):
            read_features(tmp_path / 'broken.npz')
    np.savez(tmp_path / 'objects.npz', query_feats=np.array([{}, 1], dtype=object))
    with pytest.raises(FeatureFileError, match='objects.npz cannot be read: query_feats holds Python objects') as error:
        read_features(tmp_path / 'objects.npz')  # nothing is unpickled, and nothing says how to do so
    assert 'allow_pickle' not in str(error.value)
    write_matrix(tmp_path, ['query', 'gallery'])
    (tmp_path / 'labels.csv').write_bytes('split,pid\nquery,1\n'.encode('utf-16'))
    with pytest.raises(FeatureFileError, match='labels.csv is not UTF-8 text; save it as CSV in UTF-8'):
        read_features(tmp_path / 'feats.npy', tmp_path / 'labels.csv')
    np.savez(tmp_path / 'feats.npz', **make_arrays())
    with pytest.raises(FeatureFileError, match='holds its labels itself'):
        read_features(tmp_path / 'feats.npz', tmp_path / 'labels.csv')
