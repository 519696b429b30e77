"""The benchmark of the triplet losses runs, and its sides agree; no time is judged."""

import re

import pytest
import torch

from tests.tool_runs import run_tool


def bench(*options):
    return run_tool('benchmarks/bench_triplet', '--batch', 4, 3, '--channels', 16, *options)


def run(*options):
    done = bench('--device', 'cpu', '--threads', 1, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sides_agree():
    printed = run('--ranks', '2', '5', '--ranks', '3', '9', '--repeats', '3', '--loop-repeats', '2')
    assert '4 x 3 images, 16 channels' in printed
    times = dict(re.findall(r'^  (.*?) +([\d.]+) ms', printed, flags=re.M))
    assert list(times) == ['batch hard', 'k=2 p=5', 'k=3 p=9', 'head, batch hard', 'head, k=2 p=5', 'head, k=3 p=9',
                           'loop, k=2 p=5', 'loop, k=3 p=9']
    ratios = re.findall(r'([\d.]+) ms \(([\d.]+) to ([\d.]+)\) +([\d.]+) x', printed)
    assert len(ratios) == len(times)
    for name, (middle, low, high, ratio) in zip(times, ratios, strict=True):
        plain = float(times['head, batch hard' if name.startswith('head') else 'batch hard'])
        assert 0 < float(low) <= float(middle) <= float(high)
        assert abs(float(ratio) - float(middle) / plain) < 0.02 + 0.02 * float(ratio)
    found = re.findall(r'loss differs by (\S+) from the loop, gradient by (\S+)$', printed, flags=re.M)
    assert len(found) == 2 and all(float(loss) < 1e-5 and float(gradient) < 1e-4 for loss, gradient in found)


def test_without_the_loop():
    printed = run('--repeats', '1', '--loop-repeats', '0', '--ranks', '1', '1')
    assert 'k=1 p=1' in printed and 'loop, k' not in printed


@pytest.mark.parametrize('options, message', [
    (('--repeats', 0), 'argument --repeats: must be at least 1, got 0'),
    (('--batch', 16, 0), 'argument --batch: must be at least 2, got 0'),
    (('--ranks', 0, 1), 'argument --ranks: must be at least 1'),
    (('--ranks', 4, 1), 'ValueError: k=4 is beyond .* P=4 identities with up to K=3'),
    (('--ranks', 1, 10), 'ValueError: p=10 is beyond'),
    (('--device', 'cude'), 'ValueError: the device must be cpu'),
    *([] if torch.cuda.is_available() else [(('--device', 'cuda'), 'ValueError: the device must be cpu')])])
def test_options_that_cannot_be(options, message):
    done = bench(*options)
    assert done.returncode != 0 and not done.stdout and 'Traceback' not in done.stderr
    assert re.search(message, done.stderr), done.stderr
