"""The benchmark of MGN+PTL runs and prints what it says; no number is judged."""

import math
import re
from pathlib import Path

from tests.tool_runs import run_tool

ROOT = Path(__file__).parents[1]


def test_mgn_ptl():
    done = run_tool('benchmarks/bench_mgn_ptl', '--device', 'cpu', '--threads', 1, '--batch-size', 8, '--shape', 96, 32,
                    '--iters', 1, '--warmup', 0, '--num-classes', 2)
    assert done.returncode == 0, done.stderr
    assert 'batch 8 of 96 x 32, 2 identities, float32, channels-last' in done.stdout
    rows = dict(re.findall(r'^(training step, ms|resident set, MiB) +([\d. ]+|[\d. ]+nan)$', done.stdout, flags=re.M))
    assert len(rows) == 2
    for name, row in rows.items():
        mgn, ptl, ratio = map(float, row.split())
        if name.startswith('resident') and mgn == 0:  # loading has needed more than so small a step
            assert math.isnan(ratio)
        else:
            # both are printed with one digit, and the ratio of times is a median of ratios
            assert mgn > 0 and abs(ptl / mgn - ratio) < 0.01 * ratio + 0.06 * (1 + ratio) / mgn


def test_extraction():
    done = run_tool('benchmarks/bench_extraction', '--config', ROOT / 'configs/pul/resnet18_synthetic_a2b.py',
                    '--num-images', 40, '--batch-size', 16, '--repeats', 1, '--workers', 0, '--device', 'cpu')
    assert done.returncode == 0, done.stderr
    row = r'^{} +([\d.]+) images/s .* ([\d.]+) x bare forward$'
    bare, one = map(float, re.search(row.format('bare forward'), done.stdout, flags=re.M).groups())
    speed, ratio = map(float, re.search(row.format('extraction, workers=0'), done.stdout, flags=re.M).groups())
    assert one == 1 and bare > 0 and abs(speed / bare - ratio) < 0.02
