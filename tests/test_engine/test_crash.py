"""kill -9 while checkpoints are being written."""

import random
import textwrap

import pytest

from mmreid.utils.checkpoint import read_checkpoint, resumable_checkpoints, verify_checkpoint
from tests.test_engine.killing import killed_training
from tests.test_engine.toy import toy_runner
from tests.test_utils.test_checkpoint import same

OPTIONS = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1,
               default_hooks__checkpoint__max_keep_ckpts=2, train_cfg__max_epochs=16, train_cfg__val_interval=100,
               model__heads__id__hidden_channels=(4096, ))

PROGRAM = textwrap.dedent('''
    import sys
    import torch
    from tests import shortcuts
    from tests.test_engine.test_crash import OPTIONS
    from tests.test_engine.toy import toy_runner
    torch.set_num_threads(1)  # as in conftest.py: sums depend on the number of threads
    shortcuts.install()
    toy_runner(sys.argv[1], resume=True, **OPTIONS).train()
''')


def checkpoints(work_dir) -> set[str]:
    """Names of the files that are there."""
    return {path.name for path in work_dir.glob('*.pth')} if work_dir.exists() else set()


@pytest.mark.parametrize('kills', [2, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed(tmp_path, kills):
    draw, work_dir, last_step = random.Random(kills), tmp_path / 'killed', 0
    for _ in range(kills):
        killed_training(PROGRAM, work_dir, draw, 0.15, checkpoints, lambda before, now: bool(now - before))
        found = resumable_checkpoints(work_dir)
        for path in found:  # a file under its final name is always whole
            verify_checkpoint(path)
        step = read_checkpoint(found[0])['meta']['iter']
        assert step > last_step
        last_step = step
    toy_runner(work_dir, resume=True, **OPTIONS).train()
    toy_runner(tmp_path / 'whole', **OPTIONS).train()
    left, right = (read_checkpoint(resumable_checkpoints(folder)[0]) for folder in (work_dir, tmp_path / 'whole'))
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
        assert same(left[part], right[part]), part
