"""The way of a user with cameras of his own: the page's commands and configs, in miniature on drawn people."""

import csv
import json
import re
import shlex
import shutil
import textwrap
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmreid.registry import HOOKS
from mmreid.utils.config import load_config
from mmreid.utils.option_action import OptionAction
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/en/user_guides/own_cameras.md').read_text(encoding='utf-8')
#: People and cameras of the drawn images, and the images of a person in a camera.
OLD, NEW, LABELLED, CAMERAS, SHOTS = 16, 12, 4, 2, 2
SIZE = (32, 64)  # width, height

_IDE = ["model.backbone=dict(_delete_=True, type='MobileNetV1', width_multiplier=0.25)", 'model.neck.in_channels=256',
        'model.heads.id.in_channels=256']
_MOBILENET = ['model.backbone.width_multiplier=0.25', 'model.neck.in_channels=256', 'model.backbone.init_cfg=None']
_AUTOENCODER = [*_MOBILENET, 'model.heads.ae.in_channels=256']
_TRAINING = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.num_workers=0',
             'train_dataloader.batch_size=16', f'train_dataloader.dataset.pipeline.1.scale={SIZE}']
_PAIRS = ['train_dataloader.sampler.num_pids=8', 'train_dataloader.sampler.num_instances=2']
_TESTS = [f'{part}_dataloader.{entry}' for part in ('val', 'test') for entry in (
    'num_workers=0', f'dataset.pipeline.1.scale={SIZE}')]
_LABELS = 'default_hooks.pseudo_labels.'
_ROUNDS = [f'{_LABELS}epochs_per_round=1', f'{_LABELS}num_workers=0',
           f'train_dataloader.dataset.test_pipeline.1.scale={SIZE}',
           'load_from=work_dirs/baseline/ide_resnet50_folder/epoch_1.pth']
#: Density clusters want more neighbours than a few drawn images have.
_DENSITY = ('k1=4', 'k2=2', 'min_samples=2')
_PUL = [*_IDE, *_TRAINING, *_ROUNDS, *(f'{_LABELS}labeller.labeller.{entry}' for entry in _DENSITY)]
_PHASES = ['custom_hooks.1.phases.1.begin=1', 'train_cfg.max_epochs=2']
_DECAY = ['param_scheduler.begin=0']
#: What makes a config small enough for a test: a narrow network, small images, one epoch.
SMALL = {
    'configs/baseline/ide_resnet50_folder.py': [*_IDE, *_TRAINING, *_TESTS],
    'configs/pul/resnet50_folder2folder.py': _PUL,
    'my_scored.py': [*_PUL, *_TESTS],
    'my_labels.py': [*_IDE, *_TRAINING, *_TESTS, 'train_dataloader.batch_size=8',
                     'load_from=work_dirs/baseline/ide_resnet50_folder/epoch_1.pth'],
    'my_few.py': [*_PUL, *_TESTS, 'load_from=work_dirs/my_labels/epoch_1.pth'],
    'my_labeller.py': [*_IDE, *_TRAINING, *_ROUNDS, *(f'{_LABELS}labeller.{entry}' for entry in _DENSITY)],
    'configs/dtl/resnet50_folder2folder_cotrain.py': [
        *_IDE, *_TRAINING, *_ROUNDS, f'{_LABELS}labeller.num_atoms=8', f'{_LABELS}epochs_per_round=2',
        'train_cfg.max_epochs=2', 'custom_hooks.0.cycle=2', 'custom_hooks.0.phases.1.begin=1'],
    'configs/embae/mobilenet_folder_embedding.py': [*_MOBILENET, *_TRAINING, *_PAIRS, *_TESTS, *_DECAY],
    'configs/embae/mobilenet_folder_autoencoder_cam.py': [
        *_AUTOENCODER, *_TRAINING, *_PAIRS, *_TESTS,
        'load_from=work_dirs/embae/mobilenet_folder_embedding/epoch_1.pth'],
    'configs/embae/mobilenet_folder2folder_cam.py': [
        *_AUTOENCODER, *_TRAINING, *_PHASES,
        'load_from=work_dirs/embae/mobilenet_folder_autoencoder_cam/epoch_1.pth'],
}


def blocks() -> list[tuple[str, str, str]]:
    """Language, text and the words before it of each block of code, in their order."""
    found = re.finditer(r'```(\w+)\n(.*?)```', PAGE, flags=re.S)
    return [(block[1], block[2], PAGE[:block.start()]) for block in found]


def commands() -> list[str]:
    return [line.partition('  #')[0].strip() for kind, text, _ in blocks() if kind == 'bash'
            for line in text.strip().splitlines()]


def draw(folder: Path) -> None:
    """The three folders of the page, as its reader has them."""
    for domain in 'ab':
        done = run_tool('dataset_converters/export_synthetic', folder / domain, '--domain', domain,
                        '--num-train-pids', OLD if domain == 'a' else NEW, '--num-test-pids', LABELLED, '--num-cams',
                        CAMERAS, '--num-images', SHOTS, '--num-distractors', 0, '--num-junk', 0, '--size', *SIZE[::-1])
        assert done.returncode == 0, done.stderr
    people = {'old_cameras': [folder / 'a/bounding_box_train'],
              'new_cameras_labelled': [folder / 'b/query', folder / 'b/bounding_box_test']}
    for name, parts in people.items():
        for image in (image for part in parts for image in part.glob('*.jpg')):
            identity = folder / name / image.name.split('_')[0]
            identity.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, identity / image.name)
    shutil.move(folder / 'b/bounding_box_train', folder / 'new_cameras')
    shutil.copy(sorted((folder / 'new_cameras').glob('*.jpg'))[5], folder.parent / 'QUERY.jpg')


def in_miniature(command: str, folder: Path) -> list[str]:
    """Arguments of a command of the page, for a network and a training that are smaller."""
    program, *arguments = shlex.split(command)
    assert program == 'python' and arguments[0].startswith('tools/'), command
    arguments = [re.sub(r'epoch_\d+|round_N', lambda found: found[0][:6] + '1', argument) for argument in arguments]
    if not arguments[1].endswith('.py'):
        return arguments
    if 'choose_clusters' in arguments[0]:  # takes no options
        options = OptionAction(['--cfg-options'], 'options', nargs='+')
        parsed = Namespace()
        options(None, parsed, SMALL[arguments[1]])
        load_config(str(folder / arguments[1]), parsed.options).dump(folder / 'small.py')
        return [arguments[0], 'small.py', *arguments[2:]]
    if 'infer' in arguments[0]:
        arguments += ['--num-workers', '0']
    given = [] if '--cfg-options' in arguments else ['--cfg-options']
    return [*arguments, *given, *SMALL[arguments[1]]]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """The folder of the clone, with the images and the page's own configs in it."""
    folder = tmp_path_factory.mktemp('clone')
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    draw(folder / 'data')
    for kind, text, before in blocks():
        if kind == 'python':
            name = re.findall(r'as\s+`(\w+\.py)`', before)[-1]
            assert not (folder / name).exists(), f'{name} stands twice on the page'
            (folder / name).write_text(text)
    return folder


def test_commands_of_the_page(place):
    """All of them, one after the other: each finds what the ones before have left."""
    assert {command.split()[2] for command in commands() if 'tools/train.py' in command} == set(SMALL)
    outputs = {}
    for command in commands():
        tool, *arguments = in_miniature(command, place)
        done = run_tool(tool.removeprefix('tools/'), *arguments, cwd=place, merge=True)
        assert done.returncode == 0, f'{command}\n{done.stdout[-3000:]}'
        outputs[command] = done.stdout
    log = {command.split()[2]: text for command, text in outputs.items() if 'tools/train.py' in command}
    unlabelled = NEW * CAMERAS * SHOTS
    for config in ('configs/pul/resnet50_folder2folder.py', 'configs/dtl/resnet50_folder2folder_cotrain.py'):
        assert f'of {unlabelled} images selected' in log[config]
        assert re.search(r'\d cameras a cluster', log[config])
        assert 'Before and after training' not in log[config], 'nobody is labelled'
    assert f'{LABELLED * CAMERAS}/{LABELLED * CAMERAS}' in log['my_scored.py'], 'all labelled people are queries'
    assert f'{LABELLED // 2 * CAMERAS}/{LABELLED // 2 * CAMERAS}' in log['my_few.py'], 'half of them are'
    for config in ('my_scored.py', 'my_few.py'):
        assert 'Before and after training' in log[config]
        assert (place / 'work_dirs' / config.removesuffix('.py') / 'rounds.png').exists()
    assert 'images selected' in log['my_labeller.py'] and not re.search(r'\d cameras a cluster', log['my_labeller.py'])
    assert f'{CAMERAS} nuisance encoders' in log['configs/embae/mobilenet_folder2folder_cam.py']
    # The people of the other half have classes of their own, behind the clusters.
    clusters = json.loads((place / 'work_dirs/my_few/rounds.json').read_text())[0]['num_clusters']
    labelled = LABELLED // 2 * CAMERAS * SHOTS
    assert f'{labelled} labelled, {clusters + LABELLED // 2} classes' in log['my_few.py']
    check_ranked(place)


def check_ranked(place):
    """The query is a copy of an image of the gallery, which comes first."""
    with open(place / 'lists/ranked.csv', encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    images = {str(path.relative_to(place)): path.read_bytes() for path in (place / 'data/new_cameras').glob('*.jpg')}
    assert [row['rank'] for row in rows] == [str(rank) for rank in range(1, 11)]
    assert images[rows[0]['gallery']] == (place / rows[0]['query']).read_bytes()
    assert float(rows[0]['distance']) == pytest.approx(0, abs=1e-5)
    distances = [float(row['distance']) for row in rows]
    assert distances == sorted(distances) and len({row['gallery'] for row in rows}) == 10
    assert list((place / 'lists/ranked').glob('*.png'))


# ---- configs --------------------------------------------------------------------------------------------------------


def config(name: str) -> Config:
    return load_config(str(ROOT / f'configs/{name}.py'))


@pytest.mark.parametrize('name', ['pul/resnet50_folder2folder', 'dtl/resnet50_folder2folder_cotrain'])
def test_adaptation_starts_from_the_source_of_the_page(name):
    cfg, source = config(name), config('baseline/ide_resnet50_folder')
    epochs = source.train_cfg.max_epochs
    assert cfg.load_from == f'work_dirs/baseline/ide_resnet50_folder/epoch_{epochs}.pth' and cfg.load_from in PAGE
    assert cfg.model == source.model
    assert cfg.train_dataloader.dataset.pipeline == source.train_dataloader.dataset.pipeline
    assert cfg.train_dataloader.dataset.test_pipeline == source.val_dataloader.dataset.pipeline
    assert cfg.train_dataloader.batch_size == source.train_dataloader.batch_size
    images = cfg.train_dataloader.dataset.dataset
    assert dict(images) == dict(type='FolderReID', data_root='data/new_cameras', labels=False,
                                camera_pattern=r'_c(\d+)')
    for part in ('dataloader', 'cfg', 'evaluator'):
        assert cfg[f'val_{part}'] is cfg[f'test_{part}'] is None


@pytest.mark.parametrize('name', ['baseline/ide_resnet50_folder', 'embae/mobilenet_folder_embedding'])
def test_all_entries_of_the_old_cameras_agree(name):
    cfg = config(name)
    for part in ('train', 'val', 'test'):
        images = cfg[f'{part}_dataloader'].dataset
        assert (images.type, images.data_root, images.camera_pattern) == (
            'FolderReID', 'data/old_cameras', r'_c(\d+)'), part
        assert images.split == ('train' if part == 'train' else 'test')
        for evaluator in np.ravel(cfg[f'{part}_evaluator']) if part != 'train' else ():
            assert evaluator['protocols'] == ['market1501', 'nd']


def test_the_labeller_is_the_one_that_was_measured_best():
    hook = HOOKS.build(config('pul/resnet50_folder2folder').default_hooks.pseudo_labels)
    outer, inner = hook.labeller, hook.labeller.labeller
    assert (type(outer).__name__, type(inner).__name__, inner.eps) == ('CameraNormalised', 'DensityClusters', 0.5)
    zoo = (ROOT / 'docs/en/model_zoo.md').read_text(encoding='utf-8')
    zoo = zoo.split('### Two networks of cameras of Market-1501')[1]
    scores = {}
    rows = {'the old model as it is': 'direct transfer', 'PUL: k-means, as published': 'PUL, K = 375, lambda 0.85',
            '`DensityClusters(eps=0.5)`': '`DensityClusters(eps=0.5)`', 'co-training': 'co-training, y',
            '`CameraNormalised(DensityClusters(eps=0.5))`': '`CameraNormalised(DensityClusters(eps=0.5))`'}
    for label, row in rows.items():
        scores[label] = mAP_of(row, zoo)
        assert mAP_of(label, PAGE) == scores[label], label
    best = max(scores, key=lambda label: np.mean(scores[label]))
    assert best == '`CameraNormalised(DensityClusters(eps=0.5))`'


def mAP_of(row: str, text: str) -> list[float]:
    """The two numbers of the first cell that has two."""
    line = next(line for line in text.splitlines() if line.startswith(f'| {row} |'))
    return [float(value) for value in re.search(r'([\d.]+), ([\d.]+)', line.split('|', 2)[2]).groups()]


def test_rounds_of_co_training_have_two_steps():
    cfg = config('dtl/resnet50_folder2folder_cotrain')
    hook, (phases, ) = HOOKS.build(cfg.default_hooks.pseudo_labels), cfg.custom_hooks
    rounds = HOOKS.build(phases)
    assert type(hook).__name__ == 'CoTrainingHook' and hook.restart == 'continue'
    assert rounds.cycle == hook.epochs_per_round == cfg.train_cfg.val_interval == 40
    assert cfg.train_cfg.max_epochs == 3 * hook.epochs_per_round and cfg.find_unused_parameters
    assert [(phase.begin, phase.trainable) for phase in rounds.phases] == [(0, ('heads.id*', )), (20, None)]


# ---- pages ----------------------------------------------------------------------------------------------------------


def guides() -> dict:
    folder = ROOT / 'docs/en/user_guides'
    return {name: (folder / f'{name}.md').read_text(encoding='utf-8')
            for name in ('unsupervised_adaptation', 'deep_transfer', 'embedding_autoencoder')}


@pytest.mark.parametrize('name', guides())
def test_own_configs_in_the_guides_load(name, tmp_path):
    """Each lies in the folder of the clone, where the guides run everything, and trains rounds that come out even."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs', target_is_directory=True)
    text = guides()[name]
    assert 'mmreid/configs' not in text, 'one place for configs of your own: the folder of the clone'
    found = [textwrap.dedent(block) for block in re.findall(r'```python\n(.*?)```', text, flags=re.S)]
    found = [block for block in found if '_base_ =' in block]
    assert found
    for number, block in enumerate(found):
        path = tmp_path / f'my_{number}.py'
        path.write_text(block)
        cfg = load_config(str(path))
        missing = {part: [cfg[f'{part}_{key}'] is None for key in ('dataloader', 'cfg', 'evaluator')]
                   for part in ('val', 'test')}
        assert all(len(set(values)) == 1 for values in missing.values()), missing
        rounds = cfg.default_hooks.get('pseudo_labels')
        if rounds:
            hook = HOOKS.build(rounds)
            assert cfg.train_cfg.max_epochs % hook.epochs_per_round == 0
            for phases in cfg.get('custom_hooks') or ():
                assert phases.cycle == hook.epochs_per_round and HOOKS.build(phases).phases[-1].begin < phases.cycle


def test_folders_have_the_same_names_everywhere():
    readme = (ROOT / 'README.md').read_text(encoding='utf-8').split('## Your own cameras')[1].split('\n## ')[0]
    for name, text in dict(guides(), own_cameras=PAGE, readme=readme).items():
        assert set(re.findall(r'(?<![\w/])data/([a-z]\w+)', text)) <= {
            'old_cameras', 'new_cameras', 'new_cameras_labelled'}, name
