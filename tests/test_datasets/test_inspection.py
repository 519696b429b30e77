"""The validator: every kind of damage is found and named, and nothing is found where there is none."""

import json
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import mmreid.datasets.cuhk01
import mmreid.datasets.cuhk03
import mmreid.datasets.duke
import mmreid.datasets.folder
import mmreid.datasets.merged
import mmreid.datasets.msmt17
import mmreid.datasets.prid2011
import mmreid.datasets.viper
import mmreid.datasets.ward  # noqa: F401
from mmreid.datasets import inspection
from mmreid.datasets.inspection import ERRORS, NOTES, FileFacts, Record, recognise_layout, size_histogram
from mmreid.datasets.inspection.findings import find_lost_queries, find_odd_sizes, find_shared_people, find_wrong_names

from .conftest import QUERY, TRAIN, write_image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def check(run_tool):
    """Run the tool in this process: arguments -> status, output."""
    return lambda *arguments: run_tool('misc/check_dataset', *arguments)


@pytest.fixture
def own_folder(tmp_path):
    """A user's folder: train, query and gallery, two people each, two cameras in the names."""
    root = tmp_path / 'my cameras 人'
    seed = 0
    for part, people in (('train', (1, 2)), ('query', (3, 4)), ('gallery', (3, 4))):
        for pid in people:
            (root / part / f'{pid:04d}').mkdir(parents=True)
            for camid in (1, 2):
                write_image_anywhere(root / part / f'{pid:04d}' / f'{pid:04d}_c{camid}_{part}.jpg', seed)
                seed += 1
    return root


def write_image_anywhere(path, seed, size=(32, 16)):
    """cv2.imwrite refuses other letters on some systems."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 2, 3), dtype=np.uint8)
    image = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


PATTERN = '--options', r'camera_pattern=_c(\d+)'


def problems(output):
    return [line for line in output.splitlines() if line.startswith('  problem: ')]


def image(root, part, pid, camid):
    return root / part / f'{pid:04d}' / f'{pid:04d}_c{camid}_{part}.jpg'


def test_sound_folder(own_folder, check, tmp_path):
    status, output = check(own_folder, *PATTERN, '--fix-list', tmp_path / 'fix.txt')
    assert status == 0 and 'recognised as FolderReID' in output and 'No problem found' in output, output
    assert '12 of 12 images decoded' in output and '32 x 16        12 ####' in output
    assert (tmp_path / 'fix.txt').read_text() == ''


def test_damaged_files_are_errors_and_in_the_fix_list(own_folder, check, tmp_path):
    empty, cut, text = (image(own_folder, *key) for key in (('train', 1, 1), ('train', 2, 1), ('gallery', 3, 2)))
    empty.write_bytes(b'')
    cut.write_bytes(cut.read_bytes()[:-40])
    text.write_bytes(b'not an image')
    fixes, report = tmp_path / 'fix.txt', tmp_path / 'report.json'
    status, output = check(own_folder, *PATTERN, '--fix-list', fixes, '--json', report)
    assert status == 1 and len(problems(output)) == 3 and '3 problem(s) found' in output, output
    assert '9 of 12 images decoded' in output
    lines = [line.split('\t') for line in fixes.read_text(encoding='utf-8').splitlines()]
    assert {(line[0], line[2]) for line in lines} == {(str(empty), 'empty'), (str(cut), 'truncated'),
                                                      (str(text), 'unreadable')}
    assert all(line[1] == 'error' and line[0] in line[3] for line in lines)
    written = json.loads(report.read_text())
    assert written['passed'] is False and written['num_errors'] == 3 and written['files'] == dict(read=12, decoded=9)
    assert {finding['kind'] for finding in written['findings']} >= {'empty', 'truncated', 'unreadable'}
    assert [(part['images'], part['broken']) for part in written['parts']] == [(4, 2), (4, 0), (4, 1)]


def test_copies(own_folder, check, tmp_path):
    first = image(own_folder, 'train', 1, 1)
    for target in (first.with_name('0001_c1_again.jpg'), image(own_folder, 'train', 2, 1),
                   image(own_folder, 'gallery', 3, 1)):
        shutil.copy(first, target)
    query = image(own_folder, 'query', 4, 1)
    pixels = cv2.imdecode(np.fromfile(query, dtype=np.uint8), cv2.IMREAD_COLOR)
    query.with_name('0004_c2_same.png').write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    status, output = check(own_folder, *PATTERN)
    assert status == 1 and len(problems(output)) == 2, output
    assert 'one picture under two identities (same bytes)' in output
    assert 'one picture under two cameras (same pixels)' in output
    status, output = check(own_folder, *PATTERN, '--no-decode')  # the bytes differ
    assert status == 1 and len(problems(output)) == 1 and 'images decoded' not in output, output


def test_harmless_copies_are_notes(own_folder, check, tmp_path):
    first = image(own_folder, 'train', 1, 1)
    copy = first.with_name('0001_c1_zz.jpg')
    shutil.copy(first, copy)
    status, output = check(own_folder, *PATTERN, '--fix-list', tmp_path / 'fix.txt')
    assert status == 0 and 'note: one picture several times (same bytes)' in output, output
    path, severity, kind, _ = (tmp_path / 'fix.txt').read_text(encoding='utf-8').rstrip('\n').split('\t')
    assert (path, severity, kind) == (str(copy), 'note', 'duplicate')  # the first one may stay


def test_picture_and_identity_in_training_and_test(own_folder, check):
    folder = own_folder / 'train' / '0003'
    folder.mkdir()
    shutil.copy(image(own_folder, 'gallery', 3, 1), folder / '0003_c1_x.jpg')
    write_image_anywhere(folder / '0003_c2_x.jpg', 99)
    status, output = check(own_folder, *PATTERN)
    assert status == 1 and 'one picture in training and test data' in output, output
    assert '1 identities are in the training and in the test data: 3' in output and len(problems(output)) == 2


def test_swapped_identity_and_renamed_file(own_folder, check):
    one, two = image(own_folder, 'train', 1, 1), image(own_folder, 'train', 2, 1)
    one.rename(two.parent / one.name)
    two.rename(one.parent / two.name)
    status, output = check(own_folder, *PATTERN)
    found = problems(output)
    assert status == 1 and len(found) == 2, output
    assert f'{two.parent / one.name}": the name says identity 1, the folder says 2' in ''.join(found)


def test_names_that_count_frames_say_nothing(tmp_path):
    records = [Record(f'{pid:04d}/{frame:06d}.jpg', pid, 1, 'train', 's', True) for pid in (1, 2, 3)
               for frame in range(1, 6)]
    assert not list(find_wrong_names(records))
    records = [Record(f'{pid:04d}_c1.jpg', pid + (pid == 3), 1, 'train', 's', True) for pid in range(1, 6)]
    assert ['the label says 4' in finding.message for finding in find_wrong_names(records)] == [True]


def test_odd_sizes():
    sizes = [(128 + row % 5, 64) for row in range(20)] + [(64, 128), (1280, 640)]
    records = [Record(str(row), 1, 1, 'train', 's', True) for row in range(len(sizes))]
    facts = {str(row): FileFacts(size=size) for row, size in enumerate(sizes)}
    found = {finding.paths[0]: finding.message for finding in find_odd_sizes(records, facts)}
    assert set(found) == {'20', '21'}
    assert 'its aspect ratio is far' in found['20'] and 'its area is far' in found['21']


def test_size_histogram():
    facts = [FileFacts(size=(128, 64))] * 30 + [FileFacts(size=(64, 32))] * 15 + [FileFacts()]
    assert size_histogram(facts, width=10) == ['64 x 32         15 #####', '128 x 64        30 ##########']
    lines = size_histogram([FileFacts(size=(100 + row, 50)) for row in range(100)], limit=5)
    assert lines[0].split()[:5] == ['height', '100', 'to', '119', '20'] and len(lines) == 6
    assert lines[-1].split()[:5] == ['width', '50', 'to', '50', '100']
    assert size_histogram([]) == []


def test_people_and_queries():
    def record(pid, camid, split, space='s'):
        return Record(f'{space}{pid}{camid}{split}', pid, camid, split, space, pid > 0)

    records = [record(1, 1, 'query'), record(1, 1, 'gallery'), record(2, 1, 'query'), record(2, 2, 'gallery')]
    lost, = find_lost_queries(records)
    assert lost.message.startswith('query: 1 of 2 queries') and lost.paths == ('s11query', )
    assert not list(find_shared_people([record(1, 1, 'train', 'other'), *records, record(0, 1, 'train')]))
    assert len(list(find_shared_people([record(1, 1, 'train'), *records]))) == 1


def test_unknown_cameras_are_one_note(own_folder, check):
    status, output = check(own_folder)
    assert status == 0 and 'no-cameras' in output and 'one-camera' not in output and 'no-match' not in output, output


def test_images_without_labels_and_lists(tmp_path, check):
    root = tmp_path / 'stills'
    root.mkdir()
    for row in range(4):
        write_image(root / f'{row}.jpg', row)
    status, output = check(root)
    assert status == 0 and 'without labels' in output, output
    lines = ['path,pid,camid,split', '0.jpg,1,1,train', '1.jpg,1,2,train', '2.jpg,2,1,query', '3.jpg,2,2,gallery']
    (root / 'list.csv').write_text('\n'.join(lines))
    status, output = check(root)
    assert status == 0 and 'images listed in list.csv' in output and '| gallery |' in output, output


def write_images(root, names, size=(32, 16)):
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_image_anywhere(root / name, seed, size)
    return root


def test_loose_images_beside_folders(tmp_path, check):
    root = write_images(tmp_path / 'flat', [*(f'{row}.jpg' for row in range(5)), 'more/x.jpg'])
    status, output = check(root)
    assert status == 1 and 'holds 5 images' in output and 'labels=False reads them all' in output, output
    status, output = check(root, '--options', 'labels=False')
    assert status == 0 and '6 of 6 images decoded' in output, output
    root = write_images(tmp_path / 'one', ['1/a.jpg', '1/b.jpg', '2/a.jpg', '2/b.jpg', 'forgotten.jpg'])
    status, output = check(root)
    assert status == 1 and len(problems(output)) == 1 and "'forgotten.jpg'" in problems(output)[0], output


def test_cameras_that_would_be_identities(tmp_path, check):
    root = write_images(tmp_path, [f'Cam {camid}/{row}.jpg' for camid in (1, 2) for row in range(3)])
    status, output = check(root)
    assert status == 1 and len(problems(output)) == 1 and "camera_pattern=r'Cam\\s(\\d+)/'" in output, output
    assert 'camera-names' not in output  # said once
    status, output = check(root, '--options', 'labels=False', r'camera_pattern=Cam\s(\d+)/')
    assert status == 0 and 'no-cameras' not in output and 'camera-folders' not in output, output


def test_cameras_in_names_are_suggested(tmp_path, check):
    root = write_images(tmp_path / 'a', [f'{pid}/{pid:04d}_c{camid}_{row}.jpg' for pid in (1, 2) for camid in (1, 3)
                                         for row in range(2)])
    status, output = check(root)
    assert status == 0 and r"--options 'camera_pattern=_c(\d+)'" in output, output
    status, output = check(root, *PATTERN)
    assert status == 0 and 'camera-names' not in output, output


@pytest.mark.parametrize('paths, expected', [
    (['a_c1.jpg', 'b_c2.jpg', 'x/c_c2.jpg'], r'_c(\d+)'),
    (['0002_c1s1_3.jpg', '0002_c2s1_3.jpg'], r'_c(\d+)'),
    (['cam1_a.jpg', 'cam2_b.jpg'], r'cam_?(\d+)'),
    (['Camera 01/a.jpg', 'Camera 02/a.jpg'], r'[Cc]am(?:era)?[\s_.-]?(\d+)/'),
    (['2026/cam1/a.jpg', '2026/cam2/a.jpg'], r'cam_?(\d+)/'),
    ([f'img_c{row}.jpg' for row in range(9)], None),  # a counter
    (['a_c1.jpg', 'b_c1.jpg'], None),
    (['a_c1.jpg', 'b_c2.jpg', 'c.jpg'], None),
])
def test_guessed_patterns(paths, expected):
    assert inspection.guess_camera_pattern(paths) == expected


def test_other_formats_and_unlabelled_images_are_counted(tmp_path, check):
    root = write_images(tmp_path / 'root', [f'{row}.jpg' for row in range(3)])
    for name in ('a.webp', 'b.TIF', 'c.heic', 'notes.txt'):
        (root / name).write_bytes(b'x')
    status, output = check(root, '--json', tmp_path / 'report.json')
    assert status == 0 and "3 image(s)" in output and "'a.webp', 'b.TIF', 'c.heic'; .jpg" in output, output
    assert 'no-cameras' in output and 'CameraNormalised' in output
    part, = json.loads((tmp_path / 'report.json').read_text())['parts']
    assert (part['images'], part['unlabelled'], part['nobody'], part['identities']) == (3, 3, 0, 0)


def test_images_that_use_few_of_16_bits(tmp_path, check):
    root = write_images(tmp_path, ['1/a.png', '1/b.png', '2/a.png', '2/b.png'])
    pixels = np.random.default_rng(0).integers(0, 4096, (32, 16, 3)).astype(np.uint16)
    (root / '1' / 'b.png').write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    status, output = check(root)
    assert status == 0 and '1 image(s) have no pixel above 31 of 255' in output and '1/b.png' in output, output


def test_images_below_an_overlay_of_labels(own_folder, tmp_path, check):
    (tmp_path / 'config.py').write_text(
        'train_dataloader = dict(dataset=dict(type="PseudoLabelDataset", pipeline=[], test_pipeline=[], '
        f'dataset=dict(type="FolderReID", data_root={str(own_folder)!r}, labels=False, cache=True)))\n')
    status, output = check(tmp_path / 'config.py')
    assert status == 0 and '4 of 4 images decoded' in output, output


def test_market_tree_is_not_taken_for_an_incomplete_market(market_tree, check):
    status, output = check(market_tree)
    assert status == 0 and 'recognised as Market1501' in output and 'other-count' in output, output
    status, output = check(market_tree, '--type', 'Market1501')
    assert status == 1 and 'train has 6 images (published: 12,936)' in output
    status, output = check(market_tree.parent)
    assert status == 2 and 'Did you mean' in output and 'Market-1501-v15.09.15' in output


def test_config_with_merged_parts_and_shared_test_people(market_tree, tmp_path, check):
    shutil.copytree(market_tree, tmp_path / 'other')
    part = 'dict(type="Market1501", data_root={!r}, check_counts=False)'
    target = tmp_path / 'other' / 'bounding_box_train' / f'{TRAIN[0]}.jpg'
    shutil.copy(market_tree / 'query' / f'{QUERY[0]}.jpg', target)
    text = (f'train_dataloader = dict(dataset=dict(type="MergedReIDDataset", datasets=['
            f'{part.format(str(tmp_path / "other"))}]))\n'
            f'val_dataloader = dict(dataset=dict(type="Market1501", split="test", data_root={str(market_tree)!r}, '
            'check_counts=False))\n')
    (tmp_path / 'config.py').write_text(text)
    status, output = check(tmp_path / 'config.py', '--num-workers', 3)
    assert status == 1 and len(problems(output)) == 1 and 'one picture in training and test data' in output, output


def test_msmt17_numbers_training_and_test_people_alike(tmp_path):
    lines = {'train': [(0, 1), (0, 2), (1, 1), (1, 2)], 'val': [(0, 3)], 'query': [(0, 1), (1, 2)],
             'gallery': [(0, 3), (1, 4)]}
    seed = 0
    for part, entries in lines.items():
        text = ''
        for pid, camid in entries:
            name = f'{pid:04d}/{pid:04d}_{seed:03d}_{camid:02d}_0303morning_0008_0.jpg'
            text += f'{name} {pid}\n'
            path = tmp_path / ('train' if part in ('train', 'val') else 'test') / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, seed)
            seed += 1
        (tmp_path / f'list_{part}.txt').write_text(text)
    result = inspection.inspect_datasets(recognise_layout(str(tmp_path)).settings(), guessed=True)
    assert not result.errors, result.errors
    assert [part.images for part in result.parts] == [5, 2, 2]  # the images of list_val.txt are read, too


def test_harmless_complaints_of_libpng_are_none(tmp_path):
    """A colour profile that libpng dislikes; the pixels are whole."""
    root = tmp_path / 'root'
    for pid in (1, 2):
        (root / str(pid)).mkdir(parents=True)
        for row in range(2):
            write_image(root / str(pid) / f'{row}.png', 2 * pid + row)
    victim = root / '1' / '0.png'
    data = victim.read_bytes()
    chunk = b'iCCPbroken\0\0' + zlib.compress(b'no profile')
    block = (len(chunk) - 4).to_bytes(4, 'big') + chunk + zlib.crc32(chunk).to_bytes(4, 'big')
    victim.write_bytes(data[:33] + block + data[33:])
    assert not inspection.inspect_datasets([dict(type='FolderReID', data_root=str(root), split='all')]).errors


def test_synthetic_data_has_no_files(check, tmp_path):
    (tmp_path / 'config.py').write_text(
        'train_dataloader = dict(dataset=dict(type="SyntheticReID", num_train_pids=3, num_images=2, num_cams=2))\n')
    for decode in ('--decode', '--no-decode'):
        status, output = check(tmp_path / 'config.py', decode)
        assert status == 0 and '| SyntheticReID(a) | train |' in output, output


def test_wrong_calls(tmp_path, check):
    assert check()[0] == 2
    assert check(tmp_path, '--data-root', tmp_path)[0] == 2
    assert check(tmp_path, '--num-workers', 0)[0] == 2
    for arguments, text in (((tmp_path / 'none', ), 'does not exist'), ((tmp_path / 'none.py', ), 'does not exist'),
                            ((tmp_path, ), 'is empty'), ((tmp_path, '--type', 'Nothing'), 'not registered'),
                            ((tmp_path / 'none', '--type', 'FolderReID'), 'there is no folder')):
        status, output = check(*arguments)
        assert status == 2 and text in output and 'Traceback' not in output


def test_an_output_that_is_there_is_a_wrong_call(own_folder, tmp_path, check):
    (tmp_path / 'fix.txt').write_text('mine')
    status, output = check(own_folder, '--fix-list', tmp_path / 'fix.txt')
    assert status == 2 and '--force replaces it' in output and (tmp_path / 'fix.txt').read_text() == 'mine'


def test_every_kind_is_explained(check):
    status, output = check('--help')
    assert status == 0 and all(kind in output for kind in (*ERRORS, *NOTES)) and not set(ERRORS) & set(NOTES)


@pytest.mark.parametrize(('names', 'expected'), [
    (['bounding_box_train/0002_c1s1_000001_01.jpg', 'query/'], 'Market1501'),
    (['bounding_box_train/0001_c2_f0046182.jpg', 'bounding_box_test/'], 'DukeMTMCreID'),
    (['list_train.txt', 'list_val.txt', 'list_query.txt', 'list_gallery.txt', 'train/', 'test/'], 'MSMT17'),
    (['cam_a/000_45.bmp', 'cam_b/000_45.bmp'], 'VIPeR'),
    (['single_shot/cam_a/person_0001.png', 'single_shot/cam_b/person_0001.png'], 'PRID2011'),
    (['000100010001.png', '000100020001.png'], 'WARD'),
    (['campus/0001001.png', 'campus/0001002.png'], 'CUHK01'),
    (['0001001.png', '0001002.png'], 'CUHK01'),
    (['images_detected/1_001_1_01.png', 'splits_classic.json'], 'CUHK03'),
    (['0001/a.jpg', '0002/b.jpg'], 'FolderReID'),
    (['train/0001/a.jpg', 'query/0002/b.jpg', 'gallery/0002/c.jpg'], 'FolderReID'),
])
def test_layouts(tmp_path, names, expected):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith('/') else path.write_bytes(b'x')
    layout = recognise_layout(str(tmp_path))
    assert layout.type == expected and layout.root == str(tmp_path) and layout.reason
    if expected == 'CUHK03':
        assert layout.options == dict(box='detected', protocol='classic', val=True)
    if 'train/0001/a.jpg' in names:
        assert [item['split'] for item in layout.settings()] == ['train', 'test']


def test_prid_by_its_inner_folder(tmp_path):
    for folder in ('cam_a', 'cam_b'):
        (tmp_path / 'single_shot' / folder).mkdir(parents=True)
        (tmp_path / 'single_shot' / folder / 'person_0001.png').write_bytes(b'x')
    assert recognise_layout(str(tmp_path / 'single_shot'))[:2] == ('PRID2011', str(tmp_path))
