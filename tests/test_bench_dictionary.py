"""The benchmark of the dictionary runs and prints what it says; no number is judged."""

import re

from tests.tool_runs import run_tool


def test_dictionary():
    done = run_tool('benchmarks/bench_dictionary', '--images', 120, '--channels', 12, '--atoms', 6, '--cameras', 3,
                    '--ids', 20, '--max-iter', 3, '--repeats', 1)
    assert done.returncode == 0, done.stderr
    assert '120 images x 12 channels, 3 cameras, 6 atoms' in done.stdout
    for row in ('once: eigenvectors', 'codes, GraphSystem', 'codes, one LU a direction', 'fit'):
        assert re.search(rf'^{row} +[\d.]+ s ', done.stdout, flags=re.M), row
    assert float(re.search(r'largest difference ([\d.e+-]+)', done.stdout)[1]) < 1e-8
