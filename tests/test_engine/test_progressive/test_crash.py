"""kill -9 in exploration and in exploitation."""

import random
import textwrap

import pytest

from mmreid.engine.progressive.record import ProgressiveRecord
from mmreid.utils.checkpoint import resumable_checkpoints, verify_checkpoint
from tests.test_engine.killing import killed_training
from tests.test_engine.test_progressive.toy import content, lines_of, runner_of
from tests.test_utils.test_checkpoint import same

OPTIONS = dict(loop__num_trials=4, loop__explore_epochs=4, loop__exploit_epochs=4, loop__max_epochs=10,
               loop__val_interval=100, default_hooks__checkpoint__max_keep_ckpts=1)
PROGRAM = textwrap.dedent('''
    import sys
    import torch
    from tests.test_engine.test_progressive.test_crash import OPTIONS
    from tests.test_engine.test_progressive.toy import runner_of
    torch.set_num_threads(1)  # as in conftest.py: sums depend on the number of threads
    runner_of(sys.argv[1], resume=True, **OPTIONS).train()
''')


def progress(work_dir):
    """Trials that are done, and the steps of checkpoints."""
    names = sorted(path.name for path in work_dir.glob('epoch_*.pth'))
    return len(ProgressiveRecord(work_dir).trials), names


@pytest.mark.parametrize('kills', [2, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed(tmp_path, kills):
    draw, work_dir = random.Random(kills), tmp_path / 'killed'
    runner_of(tmp_path / 'whole', **OPTIONS).train()
    expected = ProgressiveRecord(tmp_path / 'whole')
    for _ in range(kills):
        before = lines_of(ProgressiveRecord(work_dir).trials)
        killed_training(PROGRAM, work_dir, draw, 0.6, progress)
        found = lines_of(ProgressiveRecord(work_dir).trials)
        assert found == lines_of(expected.trials)[:len(found)] and len(found) >= len(before)
        assert resumable_checkpoints(work_dir)
        for path in [*resumable_checkpoints(work_dir), *(work_dir / 'pla').glob('*.pth')]:
            verify_checkpoint(path)  # a file under its final name is always whole
    runner_of(work_dir, resume=True, **OPTIONS).train()
    record = ProgressiveRecord(work_dir)
    assert lines_of(record.trials) == lines_of(expected.trials) and lines_of(record.cycles) == lines_of(expected.cycles)
    left, right = (content(folder / 'epoch_10.pth') for folder in (work_dir, tmp_path / 'whole'))
    assert {key for key in left if not same(left[key], right[key])} == set()
