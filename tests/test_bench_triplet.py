"""The benchmark of the triplet losses runs, and its sides agree; no time is judged."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*options):
    command = [sys.executable, str(ROOT / 'tools/benchmarks/bench_triplet.py'), '--device', 'cpu', '--threads', '1',
               '--batch', '4', '3', '--channels', '16', *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sides_agree():
    printed = run('--ranks', '2', '5', '--ranks', '3', '9', '--repeats', '3', '--loop-repeats', '2')
    assert '4 x 3 images, 16 channels' in printed
    times = dict(re.findall(r'^  (.*?) +([\d.]+) ms', printed, flags=re.M))
    assert list(times) == ['batch hard', 'k=2 p=5', 'k=3 p=9', 'loop, k=2 p=5', 'loop, k=3 p=9']
    ratios = re.findall(r'([\d.]+) ms \(([\d.]+) to ([\d.]+)\) +([\d.]+) x', printed)
    plain = float(times['batch hard'])
    for middle, low, high, ratio in ratios:
        assert 0 < float(low) <= float(middle) <= float(high)
        assert abs(float(ratio) - float(middle) / plain) < 0.02 + 0.02 * float(ratio)
    found = re.findall(r'loss differs by (\S+) from the loop, gradient by (\S+)$', printed, flags=re.M)
    assert len(found) == 2 and all(float(loss) < 1e-5 and float(gradient) < 1e-4 for loss, gradient in found)


def test_without_the_loop():
    printed = run('--repeats', '1', '--loop-repeats', '0', '--ranks', '1', '1')
    assert 'k=1 p=1' in printed and 'loop, k' not in printed
