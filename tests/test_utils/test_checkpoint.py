"""Checkpoint files: whole or not there, and never code."""

import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

from mmreid.utils.checkpoint import (
    CheckpointError,
    plain,
    read_checkpoint,
    remove_stale_temporaries,
    resumable_checkpoints,
    strip_prefix,
    verify_checkpoint,
    write_checkpoint,
    write_text,
)


def same(left, right) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def test_write_and_read_give_the_same_content(tmp_path):
    content = {'state_dict': {'w': torch.randn(3, 4), 'n': torch.arange(3)}, 'meta': {'epoch': 3, 'f': 0.1},
               'pair': (1, [2.5, None, True])}
    write_checkpoint(content, tmp_path / 'a.pth')
    assert same(content, read_checkpoint(tmp_path / 'a.pth'))
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_plain_converts_what_numpy_and_collections_bring():
    got = plain({'c': Counter({10: 1}), 'o': OrderedDict(a=np.float32(0.5)), 'i': np.int64(3), 'b': np.bool_(True),
                 'a': np.arange(3), 't': (np.float64(2), )})
    assert type(got['c']) is dict and got['c'] == {10: 1}
    assert type(got['o']['a']) is float and type(got['i']) is int and got['b'] is True
    assert torch.equal(got['a'], torch.arange(3)) and got['t'] == (2.0, )


def test_plain_names_the_place_of_what_it_refuses():
    with pytest.raises(CheckpointError, match=r"checkpoint\['meta'\]\[1\] is a builtins.object"):
        plain({'meta': [1, object()]})


def test_parameters_are_saved_without_their_graph(tmp_path):
    weight = torch.nn.Parameter(torch.ones(2))
    write_checkpoint({'state_dict': {'w': weight}}, tmp_path / 'a.pth')
    loaded = read_checkpoint(tmp_path / 'a.pth')['state_dict']['w']
    assert not loaded.requires_grad and torch.equal(loaded, torch.ones(2))


def test_bare_state_dict_is_accepted(tmp_path):
    torch.save({'w': torch.ones(1)}, tmp_path / 'w.pth')
    assert list(read_checkpoint(tmp_path / 'w.pth')) == ['state_dict']


class Malicious:

    def __reduce__(self):
        return os.system, ('touch "$MMREID_TEST_FLAG"', )


@pytest.mark.parametrize('writer', ['torch', 'pickle'])
def test_malicious_file_is_refused_and_runs_nothing(tmp_path, monkeypatch, writer):
    flag = tmp_path / 'code_ran'
    monkeypatch.setenv('MMREID_TEST_FLAG', str(flag))
    path = tmp_path / 'evil.pth'
    if writer == 'torch':
        torch.save({'state_dict': Malicious()}, path)
    else:
        path.write_bytes(pickle.dumps({'state_dict': Malicious()}))
    with pytest.raises(CheckpointError, match='refused|could not be read'):
        read_checkpoint(path)
    assert not flag.exists()
    if writer == 'pickle':  # the attack itself works, so the check above means something
        pickle.loads(path.read_bytes())
        assert flag.exists()


@pytest.mark.parametrize('damage', ['empty', 'half', 'bit'])
def test_damaged_files_are_found(tmp_path, damage):
    path = tmp_path / 'a.pth'
    write_checkpoint({'state_dict': {'w': torch.arange(10000.)}}, path)
    verify_checkpoint(path)
    data = bytearray(path.read_bytes())
    if damage == 'empty':
        data = b''
    elif damage == 'half':
        data = data[:len(data) // 2]
    else:
        data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match='a.pth'):
        verify_checkpoint(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match='nowhere.pth does not exist'):
        read_checkpoint(tmp_path / 'nowhere.pth')


def test_full_disk_keeps_the_old_file_and_says_so(tmp_path):
    """A limit on file sizes makes the write fail as a full disk does (an OSError in the middle of the file)."""
    code = textwrap.dedent('''
        import resource, signal, sys, torch
        from mmreid.utils.checkpoint import CheckpointError, write_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = sys.argv[1]
        write_checkpoint({'state_dict': {'w': torch.zeros(10)}}, path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write_checkpoint({'state_dict': {'w': torch.zeros(100_000)}}, path)
        except CheckpointError as error:
            print('ERROR:', error)
    ''')
    assert hasattr(signal, 'SIGXFSZ') and hasattr(resource, 'RLIMIT_FSIZE')
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'a.pth')], capture_output=True, text=True)
    assert 'ERROR: Could not write' in done.stdout, done.stderr
    assert 'MiB are free' in done.stdout and '--resume' in done.stdout
    assert read_checkpoint(tmp_path / 'a.pth')['state_dict']['w'].shape == (10, )
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_newest_step_first(tmp_path):
    for name in ('epoch_2.pth', 'epoch_10.pth', 'best_mAP_epoch_11.pth', 'last_checkpoint', 'epoch_x.pth'):
        (tmp_path / name).touch()
    assert [path.name for path in resumable_checkpoints(tmp_path)] == ['epoch_10.pth', 'epoch_2.pth']
    assert resumable_checkpoints(tmp_path / 'missing') == []


def test_only_temporaries_of_dead_processes_are_removed(tmp_path):
    write_text('x', tmp_path / 'last_checkpoint')
    dead = subprocess.Popen(['true'])
    dead.wait()
    host = __import__('mmreid.utils.checkpoint', fromlist=['_host'])._host()
    stale = tmp_path / f'.epoch_1.pth.{host}.{dead.pid}.tmp'
    alive = tmp_path / f'.epoch_2.pth.{host}.{os.getpid()}.tmp'
    other = tmp_path / f'.epoch_3.pth.elsewhere.{dead.pid}.tmp'
    for path in (stale, alive, other):
        path.touch()
    assert remove_stale_temporaries(tmp_path) == [stale]
    assert not stale.exists() and alive.exists() and other.exists()


def test_strip_prefix():
    assert strip_prefix({'backbone.a': 1, 'heads.b': 2}, 'backbone.') == {'a': 1}
    assert strip_prefix({'a': 1}, 'backbone.') == {'a': 1}
