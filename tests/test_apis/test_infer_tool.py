"""tools/infer.py: features, lists and sheets of folders."""

import csv
import os
import shutil

import cv2
import numpy as np
import pytest

from mmreid.datasets.image_io import read_image
from mmreid.visualization.contact_sheet import fit_image
from mmreid.visualization.ranked_lists import sheet_corner
from tests.tool_runs import run_tool


def run(toy, *arguments, **kwargs):
    return run_tool('infer', toy.config, toy.checkpoint, *arguments, '--num-workers', '0', '--batch-size', '8',
                    '--device', 'cpu', **kwargs)


@pytest.fixture(scope='module')
def found(toy, tmp_path_factory):
    """What the tool writes for 8 queries in a gallery of 14."""
    out = tmp_path_factory.mktemp('infer') / 'found'
    done = run(toy, toy.images / 'bounding_box_test', '--query', toy.images / 'query', '--topk', '4', '--out', out,
               '--sheets', '3')
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def rows_of(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_what_is_written(toy, inferencer, found):
    out, text = found
    expected = inferencer.rank(toy.images / 'query', toy.images / 'bounding_box_test', topk=4)
    rows = rows_of(out / 'ranked.csv')
    assert [row['query'] for row in rows[::4]] == expected.query_paths
    assert [row['gallery'] for row in rows] == [path for query in range(8) for path in expected.paths(query)]
    assert [row['rank'] for row in rows[:4]] == ['1', '2', '3', '4']
    assert np.allclose([float(row['distance']) for row in rows], expected.distances.ravel(), atol=6e-7)
    for split, folder in (('query', 'query'), ('gallery', 'bounding_box_test')):
        file, feats = np.load(out / f'{split}.npz'), inferencer.extract(toy.images / folder)
        assert (file[f'{split}_feats'] == feats.feats).all() and file[f'{split}_paths'].tolist() == feats.paths
    assert 'the lists of 3 of 8 queries' in text and '8 queries in a gallery of 14, cosine distance' in text


def test_sheets_show_the_images_at_their_places(found):
    out, _ = found
    names = sorted(path.name for path in (out / 'ranked').iterdir())
    rows = rows_of(out / 'ranked.csv')
    assert len(names) == 3 and names[1] == f'0002_{rows[4]["query"].rsplit("/", 1)[1][:-4]}.png'
    sheet = cv2.imread(str(out / 'ranked' / names[1]))
    for place, path in enumerate([rows[4]['query'], *(row['gallery'] for row in rows[4:8])]):
        top, left = sheet_corner(place)
        assert (sheet[top:top + 128, left:left + 64] == fit_image(read_image(path), (128, 64))).all()


def test_an_earlier_run_is_not_replaced_without_being_asked(tmp_path, toy, found):
    out = tmp_path / 'found'
    shutil.copytree(found[0], out)
    before = (out / 'ranked.csv').read_bytes()
    one = str(next((toy.images / 'query').glob('5002*')))
    arguments = (toy.images / 'bounding_box_test', '--query', one, '--out', out)
    done = run(toy, *arguments)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'holds gallery.npz, query.npz, ranked.csv, ranked of an earlier run' in done.stderr.splitlines()[-1]
    assert (out / 'ranked.csv').read_bytes() == before
    (out / 'ranked' / 'mine.png').touch()
    assert run(toy, *arguments, '--force').returncode == 0
    assert {row['query'] for row in rows_of(out / 'ranked.csv')} == {one}
    assert [path.name[:4] for path in sorted((out / 'ranked').iterdir())] == ['0001', 'mine']


def test_what_is_left_of_an_earlier_run_goes_only_when_the_new_one_is_there(tmp_path, toy, found):
    out = tmp_path / 'found'
    shutil.copytree(found[0], out)
    before = sorted(path.relative_to(out) for path in out.rglob('*'))
    done = run_tool('infer', 'nowhere.py', toy.checkpoint, toy.images / 'query', '--out', out, '--force')
    assert done.returncode == 1, done.stdout
    assert sorted(path.relative_to(out) for path in out.rglob('*')) == before
    assert run(toy, toy.images / 'query', '--out', out, '--force').returncode == 0
    assert sorted(path.name for path in out.iterdir()) == ['gallery.npz', 'ranked'] and not any(
        (out / 'ranked').iterdir())


def test_the_moved_data_folder_and_names_that_are_no_text(tmp_path, toy, monkeypatch):
    folder = tmp_path / 'elsewhere' / 'new'
    folder.mkdir(parents=True)
    one = next((toy.images / 'query').glob('5002*'))
    shutil.copy(one, os.fsencode(folder) + b'/caf\xe9.jpg')  # Latin-1
    monkeypatch.setenv('MMREID_DATA_ROOT', str(tmp_path / 'elsewhere'))
    done = run(toy, 'data/new', '--query', one, '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert b'caf\xe9.jpg' in (tmp_path / 'out' / 'ranked.csv').read_bytes()


def test_features_of_an_earlier_run_are_searched(tmp_path, toy, found):
    gallery = found[0] / 'gallery.npz'
    before = gallery.read_bytes()
    done = run(toy, gallery, '--query', found[0] / 'query.npz', '--topk', '4', '--out', tmp_path / 'again')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'again' / 'ranked.csv').read_bytes() == (found[0] / 'ranked.csv').read_bytes()
    assert not (tmp_path / 'again' / 'gallery.npz').exists() and gallery.read_bytes() == before
    done = run(toy, gallery, '--query', toy.images / 'query', '--out', found[0], '--force')
    assert done.returncode == 1 and '--out must not be' in done.stderr and gallery.read_bytes() == before


def test_a_gallery_alone(tmp_path, toy):
    done = run(toy, toy.images / 'query', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['gallery.npz']


def test_options(tmp_path, toy, found):
    """Re-ranking needs more images than 8 + 14; the metric is that of the option; broken files are left out."""
    images = tmp_path / 'images'
    shutil.copytree(toy.images, images)
    (images / 'query' / 'broken.jpg').write_bytes(b'no image')
    (images / 'readme.txt').unlink(missing_ok=True)
    arguments = (images, '--query', images / 'query', '--rerank', '--metric', 'euclidean', '--topk', '3')
    done = run(toy, *arguments, '--out', tmp_path / 'a')
    assert done.returncode == 1 and 'Traceback' not in done.stderr and '1 of 9 images cannot be read' in done.stderr
    done = run(toy, *arguments, '--out', tmp_path / 'b', '--skip-unreadable', '--sheets', '0')
    assert done.returncode == 0, done.stderr
    assert 'left out: image' in done.stdout and '34, euclidean distance, re-ranked' in done.stdout
    assert not (tmp_path / 'b' / 'ranked').exists() and len(rows_of(tmp_path / 'b' / 'ranked.csv')) == 24


@pytest.mark.parametrize('arguments, message', [
    (('nowhere', ), 'there is no image and no folder "nowhere"'),
    (('IMAGES', '--query', 'nowhere'), 'there is no image and no folder "nowhere"'),
    (('IMAGES', '--topk', '0'), '--topk must be at least 1, got 0'),
    (('nowhere.npz', ), 'there is no file of features nowhere.npz'),
    (('IMAGES', '--device', 'tpu'), 'the device must be cpu'),
])
def test_mistakes_end_with_one_clear_line(tmp_path, toy, arguments, message):
    given = [toy.images / 'query' if item == 'IMAGES' else item for item in arguments]
    done = run_tool('infer', toy.config, toy.checkpoint, *given, '--out', tmp_path / 'out', '--num-workers', '0')
    assert done.returncode != 0 and message in done.stderr.splitlines()[-1] and 'Traceback' not in done.stderr
