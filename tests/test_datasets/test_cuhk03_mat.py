import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mmreid.datasets import conversion, cuhk03_mat, read_image
from mmreid.datasets.cuhk03_mat import BOXES, SPLITS_FILE, MatFileError, convert_cuhk03, image_name
from tests.tool_runs import run_tool

from .cuhk03_tree import PERSONS, TESTSETS, names, numbers, picture, write_mat

pytest.importorskip('h5py')


@pytest.fixture(scope='module')
def mat(tmp_path_factory):
    return str(write_mat(tmp_path_factory.mktemp('release') / 'cuhk-03.mat'))


def run(*arguments):
    return run_tool('dataset_converters/cuhk03', *arguments, merge=True)


def state(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}


def test_names():
    assert [image_name(1, 1, 1), image_name(5, 49, 5), image_name(2, 440, 6), image_name(1, 843, 10)] == \
        ['1_001_1_01.png', '5_049_1_05.png', '2_440_2_06.png', '1_843_2_10.png']


def test_pixels_names_and_splits(mat, tmp_path):
    written = convert_cuhk03(mat, str(tmp_path / 'out'))
    for box in BOXES:
        folder = tmp_path / 'out' / f'images_{box}'
        assert sorted(os.listdir(folder)) == sorted(names(box))
        assert written[f'images_{box}'] == (len(names(box)), len(names(box)))
        for pair, person in ((1, 1), (2, 3), (3, 2), (5, 1)):
            for number in numbers(pair, person, box):
                image = read_image(folder / image_name(pair, person, number))
                assert np.array_equal(image[:, :, ::-1], picture(pair, person, number, box))
    content = json.loads((tmp_path / 'out' / SPLITS_FILE).read_text())
    assert content == dict(identities=list(PERSONS), images={box: len(names(box)) for box in BOXES},
                           testsets=[[list(key) for key in testset] for testset in TESTSETS])


def test_second_run_touches_nothing(mat, tmp_path):
    convert_cuhk03(mat, str(tmp_path))
    before = state(tmp_path)
    assert all(number.new == 0 for number in convert_cuhk03(mat, str(tmp_path)).values())
    assert state(tmp_path) == before


def test_interrupted_conversion_is_continued(mat, tmp_path, monkeypatch):
    replace, left = os.replace, iter(range(40))

    def interrupted(source, target):
        if next(left, None) is None:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(conversion.os, 'replace', interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert_cuhk03(mat, str(tmp_path))
    before = state(tmp_path)
    assert len(before) == 40 and not list(tmp_path.rglob('*.part')) and not (tmp_path / SPLITS_FILE).exists()
    written = convert_cuhk03(mat, str(tmp_path))
    after = state(tmp_path)
    assert sum(number.new for number in written.values()) == len(names('labeled')) + len(names('detected')) - 40
    assert all(after[path] == time for path, time in before.items()) and (tmp_path / SPLITS_FILE).is_file()


@pytest.mark.parametrize('content', [b'', None])
def test_broken_image_is_written_again(mat, tmp_path, content):
    convert_cuhk03(mat, str(tmp_path))
    victim = tmp_path / 'images_detected' / names('detected')[3]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-20] if content is None else content)
    assert convert_cuhk03(mat, str(tmp_path))['images_detected'].new == 1
    assert victim.read_bytes() == whole


def test_other_content_needs_force(mat, tmp_path):
    convert_cuhk03(mat, str(tmp_path))
    victim = tmp_path / 'images_detected' / names('detected')[3]
    mine = (tmp_path / 'images_detected' / names('detected')[4]).read_bytes()
    whole = victim.read_bytes()
    victim.write_bytes(mine)
    with pytest.raises(FileExistsError, match='holds another image.*--force'):
        convert_cuhk03(mat, str(tmp_path))
    assert victim.read_bytes() == mine
    convert_cuhk03(mat, str(tmp_path), force=True)
    assert victim.read_bytes() == whole
    (tmp_path / SPLITS_FILE).write_text('{}')
    with pytest.raises(FileExistsError, match='splits_classic.json.*--force'):
        convert_cuhk03(mat, str(tmp_path))
    convert_cuhk03(mat, str(tmp_path), force=True)
    assert json.loads((tmp_path / SPLITS_FILE).read_text())['identities'] == list(PERSONS)


@pytest.mark.parametrize('share', [0, 0.001, 0.5, 0.99])
def test_truncated_file_is_one_clear_line(mat, tmp_path, share):
    data = Path(mat).read_bytes()
    cut = tmp_path / 'cuhk-03.mat'
    cut.write_bytes(data[:int(len(data) * share)])
    with pytest.raises(MatFileError, match='bytes.* cannot be read .*truncated or not the published') as error:
        convert_cuhk03(str(cut), str(tmp_path / 'out'))
    assert '\n' not in str(error.value) and str(cut) in str(error.value)
    assert not (tmp_path / 'out').exists()


def test_wrong_files(mat, tmp_path):
    old = tmp_path / 'old.mat'
    savemat(old, dict(labeled=np.zeros(3)))
    cases = [(old, 'cannot be read .HDF5'),
             (write_mat(tmp_path / 'a.mat', drop=['detected']), 'cannot be read .detected'),
             (write_mat(tmp_path / 'b.mat', persons=(2, 1)), 'expected 5 of'),
             (write_mat(tmp_path / 'c.mat', testsets=[np.zeros((3, 3))]), 'testset 1 has the shape'),
             (write_mat(tmp_path / 'd.mat', change=lambda image: image / 255), 'labeled, 1_001_1_01.png is float64')]
    for path, message in cases:
        with pytest.raises(MatFileError, match=message):
            convert_cuhk03(str(path), str(tmp_path / 'out'))
    with pytest.raises(FileNotFoundError, match='nowhere.mat" is not there'):
        convert_cuhk03(str(tmp_path / 'nowhere.mat'), str(tmp_path / 'out'))


def test_numbers_instead_of_cells(tmp_path):
    import h5py
    with h5py.File(tmp_path / 'numbers.mat', 'w') as file:
        for key in ('labeled', 'detected', 'testsets'):
            file[key] = np.zeros((1, 5))
    with pytest.raises(MatFileError, match='/testsets is no cell array'):
        convert_cuhk03(str(tmp_path / 'numbers.mat'), str(tmp_path / 'out'))


def test_without_h5py(mat, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match='pip install h5py'):
        cuhk03_mat.CUHK03Mat(mat)


def test_command(mat, tmp_path):
    out = tmp_path / 'Ünï côdé'
    done = run(mat, out)
    assert done.returncode == 0, done.stdout
    assert f'{out}/images_detected: 75 images (published: 14,097), 75 of them written now' in done.stdout
    (tmp_path / 'cut.mat').write_bytes(Path(mat).read_bytes()[:5000])
    done = run(tmp_path / 'cut.mat', out)
    assert done.returncode == 1 and len(done.stdout.strip().splitlines()) == 1 and 'truncated' in done.stdout
