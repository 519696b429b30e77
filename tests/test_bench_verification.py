"""The benchmark of the verification loss runs, and its sides agree; no time is judged."""

import re

from tests.tool_runs import run_tool


def test_sides_agree():
    done = run_tool('benchmarks/bench_verification', '--device', 'cpu', '--threads', 1, '--batch', 3, 3, '--channels',
                    16, '--chunk-size', 10, '--repeats', 1)
    assert done.returncode == 0, done.stderr
    assert '3 x 3 images: 18 positive and 54 negative pairs, 108 compared' in done.stdout
    rows = re.findall(r'^  (all at once|in chunks of 10|loop over pairs) +([\d.]+) ms +[\d.]+ x .* '
                      r'loss differs by (\S+), gradients by (\S+)$', done.stdout, flags=re.M)
    assert len(rows) == 3
    assert all(float(time) > 0 and float(loss) < 1e-5 and float(gradient) < 1e-4 for _, time, loss, gradient in rows)
