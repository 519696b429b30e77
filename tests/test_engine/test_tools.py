"""The command line, on one process and on two."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmreid.utils.checkpoint import read_checkpoint
from tests.test_engine.toy import CONFIG
from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[2]


STEPS = ('--cfg-options', 'default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1',
         'train_dataloader.batch_size=4')


def write_config(folder: Path) -> Path:
    path = folder / 'toy.py'
    path.write_text(CONFIG.replace('WORKERS', '0').replace("log_level = 'WARNING'", "log_level = 'INFO'"))
    return path


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path)


@pytest.fixture(scope='module')
def trained_by_two(tmp_path_factory):
    """The folder of a training in two processes, with a checkpoint after each step, and the last of these."""
    folder = tmp_path_factory.mktemp('two')
    done = run('train', write_config(folder), '--work-dir', folder / 'work', *STEPS, processes=2)
    assert done.returncode == 0, done.stderr
    return folder / 'work', max((folder / 'work').glob('iter_*.pth'), key=lambda path: int(path.stem.split('_')[1]))


def run(*command, processes: int = 0):
    """Run a command of ``tools/``: in this process, in one of its own, or in several through torchrun."""
    if not processes:
        return run_tool(*command, cwd=ROOT)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    environment = dict(os.environ, OMP_NUM_THREADS='1', PORT=port, PYTHONPATH=str(ROOT),
                       PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    tool, *arguments = map(str, command)
    if processes == 1:
        line = [sys.executable, str(ROOT / 'tools' / f'{tool}.py'), *arguments]
    else:
        given = 1 if tool == 'train' else 2
        line = [str(ROOT / 'tools' / f'dist_{tool}.sh'), *arguments[:given], str(processes), *arguments[given:]]
    return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)


def metrics(work_dir: Path) -> dict:
    files = sorted(path for path in work_dir.glob('*/*.json') if path.stem != 'evaluation')
    return json.loads(files[-1].read_text())


def test_train_test_and_dump(tmp_path, config):
    work_dir = tmp_path / 'train'
    done = run('train', config, '--work-dir', work_dir, '--amp', '--cfg-options', 'train_cfg.max_epochs=1')
    assert done.returncode == 0, done.stderr
    assert 'lr: ' in done.stdout and 'eta: ' in done.stdout and 'loss: ' in done.stdout
    dump = ('--dump', tmp_path / 'f.npz')
    tested = run('test', config, work_dir / 'epoch_1.pth', '--work-dir', tmp_path / 'test', *dump, processes=1)
    assert tested.returncode == 0, tested.stderr
    for word in ('market1501', '8/8', 'mAP', 'mINP', 'rank-1', 'rank-20'):
        assert word in tested.stdout
    dumped = np.load(tmp_path / 'f.npz')
    assert dumped['query_feats'].shape == (8, 16) and dumped['gallery_pids'].shape == (14, )
    report, = (tmp_path / 'test').glob('*/evaluation.json')
    assert report.with_suffix('.png').read_bytes().startswith(b'\x89PNG')
    scores = json.loads(report.read_text())['protocols']['market1501']['metrics']
    assert scores == {key.split('/')[1]: pytest.approx(value, abs=1e-3) for key, value in
                      metrics(tmp_path / 'test').items() if key.startswith('market1501/')}

    # The same features from disk give the same scores, and those of the training images can be had as well.
    done = run('analysis_tools/eval_features', tmp_path / 'f.npz')
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / 'f.eval.json').read_text())['protocols']['market1501']['metrics']
    assert again == pytest.approx(scores)
    for split, found in (('train', {'train': 24}), ('test', {'query': 8, 'gallery': 14})):
        out = tmp_path / f'{split}.npz'
        done = run('analysis_tools/extract_features', config, work_dir / 'epoch_1.pth', out, '--split', split,
                   '--work-dir', tmp_path / 'extract')
        assert done.returncode == 0, done.stderr
        arrays = np.load(out)
        assert {name: len(arrays[f'{name}_feats']) for name in found} == found
    assert np.abs(arrays['query_feats'] - dumped['query_feats']).max() < 1e-5


def test_two_processes_give_the_same_digits_as_one(tmp_path, config, trained_by_two):
    """22 test images on 2 x batches of 5: the sampler pads, and the metric must not see it."""
    _, checkpoint = trained_by_two
    assert len(read_checkpoint(checkpoint)['train_state']['ranks']) == 2
    results = []
    for processes in (0, 2):
        work_dir = tmp_path / f'test{processes}'
        options = ('--work-dir', work_dir, '--cfg-options', 'test_dataloader.batch_size=5',
                   'test_dataloader.dataset.num_distractors=5')
        done = run('test', config, checkpoint, *options, processes=processes)
        assert done.returncode == 0, done.stderr
        results.append({key: value for key, value in metrics(work_dir).items() if '/' in key})
    assert results[0] == results[1] and 'market1501/mAP' in results[0]


def test_two_processes_resume_inside_an_epoch(tmp_path, config, trained_by_two):
    work_dir, whole = tmp_path / 'work', read_checkpoint(trained_by_two[1])
    shutil.copytree(trained_by_two[0], work_dir)
    last = whole['meta']['iter']
    for step in range(last - 1, last + 1):
        (work_dir / f'iter_{step}.pth').unlink()
    assert last == 6 and read_checkpoint(work_dir / 'iter_4.pth')['train_state']['batch_in_epoch'] == 1
    done = run('train', config, '--work-dir', work_dir, '--resume', *STEPS, processes=2)
    assert done.returncode == 0, done.stderr
    again = read_checkpoint(work_dir / f'iter_{last}.pth')
    for key, value in whole['state_dict'].items():
        assert bool((value == again['state_dict'][key]).all()), key


@pytest.mark.parametrize('arguments, expected', [
    (('train', 'CONFIG', '--cfg-options', 'optim_wraper.lr=1'), 'did you mean optim_wrapper'),
    (('train', 'nowhere.py'), 'nowhere.py does not exist'),
    (('train', 'CONFIG', '--cfg-options',
      'train_dataloader.dataset=dict(_delete_=True, type="Market1501", data_root="x")'), 'says how to get the dataset'),
    (('test', 'CONFIG', 'nowhere.pth'), 'nowhere.pth does not exist'),
    (('test', 'CONFIG', 'EMPTY'), 'EMPTY'),
])
def test_mistakes_end_with_one_clear_line(tmp_path, config, arguments, expected):
    empty = tmp_path / 'EMPTY'
    empty.touch()
    given = [str(config) if item == 'CONFIG' else str(empty) if item == 'EMPTY' else item for item in arguments]
    done = run(*given, '--work-dir', tmp_path / 'work')
    assert done.returncode != 0
    assert expected in done.stderr.strip().splitlines()[-1]
    assert 'Traceback' not in done.stderr
