import shutil
from pathlib import Path

import pytest

from tests.tool_runs import run_tool

from .conftest import TRAIN

ROOT = Path(__file__).parents[2]


def run(script, *arguments):
    return run_tool(script, *arguments, cwd=ROOT, merge=True)


@pytest.fixture(scope='module')
def export(tmp_path_factory):
    root = tmp_path_factory.mktemp('export') / 'market'
    done = run('dataset_converters/export_synthetic.py', root, '--num-train-pids', 3, '--num-test-pids', 2,
               '--num-cams', 2, '--num-images', 4, '--num-distractors', 2, '--num-junk', 1, '--domain', 'b')
    assert done.returncode == 0 and f'{root}/bounding_box_train: 24 images' in done.stdout
    return root


def config(path, root, **options):
    text = ', '.join(f'{name}={value!r}' for name, value in dict(options, data_root=str(root)).items())
    path.write_text('\n'.join(
        f'{loader}_dataloader = dict(dataset=dict(type="Market1501", split="{split}", check_counts=False, {text}))'
        for loader, split in (('train', 'train'), ('val', 'test'), ('test', 'test'))))
    return path


def test_export_refuses_a_second_time(export):
    done = run('dataset_converters/export_synthetic.py', export)
    assert done.returncode == 1 and 'earlier export' in done.stdout and 'Traceback' not in done.stdout


def test_sound_dataset(export, tmp_path):
    done = run('misc/check_dataset.py', config(tmp_path / 'config.py', export))
    assert done.returncode == 0, done.stdout
    assert '43 of 43 images decoded' in done.stdout and 'No problem found' in done.stdout
    assert done.stdout.count('| Market1501 | gallery |') == 1  # validation and test data are the same


def test_broken_images_are_listed(market_tree, tmp_path):
    folder = market_tree / 'bounding_box_train'
    (folder / f'{TRAIN[0]}.jpg').write_bytes(b'')
    (folder / f'{TRAIN[3]}.jpg').write_bytes((folder / f'{TRAIN[3]}.jpg').read_bytes()[:-30])
    done = run('misc/check_dataset.py', config(tmp_path / 'config.py', market_tree))
    assert done.returncode == 1
    assert f'{TRAIN[0]}.jpg" is empty' in done.stdout and f'{TRAIN[3]}.jpg" is truncated' in done.stdout
    assert 'note: train: 1 of 3 identities have one image: 11' in done.stdout
    assert 'note: gallery: 1 of 2 identities have one camera: 5' in done.stdout


def test_damage_inside_a_jpeg_is_found(export, tmp_path):
    """libjpeg fills the hole and says so on its error output only; OpenCV returns an image."""
    root = tmp_path / 'damaged'
    shutil.copytree(export, root)
    victim = sorted((root / 'bounding_box_train').glob('*.jpg'))[3]
    data = bytearray(victim.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 200] = bytes(200)
    victim.write_bytes(data)
    done = run('misc/check_dataset.py', config(tmp_path / 'config.py', root))
    problems = [line for line in done.stdout.splitlines() if 'problem: ' in line]
    assert done.returncode == 1 and len(problems) == 1 and victim.name in problems[0] and 'damaged' in problems[0]


def test_missing_root_and_wrong_counts(market_tree, tmp_path):
    done = run('misc/check_dataset.py', '--type', 'Market1501', '--data-root', tmp_path / 'none', '--no-decode')
    assert done.returncode == 2 and f'there is no folder "{tmp_path}/none"' in done.stdout
    assert 'Traceback' not in done.stdout
    (tmp_path / 'wrong' / 'photographs').mkdir(parents=True)
    done = run('misc/check_dataset.py', '--type', 'Market1501', '--data-root', tmp_path / 'wrong', '--no-decode')
    assert done.returncode == 1 and 'Expected tree' in done.stdout and 'Traceback' not in done.stdout
    done = run('misc/check_dataset.py', '--type', 'Market1501', '--data-root', market_tree, '--no-decode')
    assert done.returncode == 1 and 'train has 6 images (published: 12,936)' in done.stdout
