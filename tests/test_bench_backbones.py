"""The benchmark of backbones runs and prints what it says; no number is judged but those that are counted."""

import re

import pytest

from tests.tool_runs import run_tool


def run(*arguments):
    return run_tool('benchmarks/bench_backbones', *arguments)


def test_backbones():
    done = run('--networks', 'mobilenet_v1_0.5', 'mobilenet_v3', 'resnet18', '--batch-size', '2', '--shape', '64', '32',
               '--repeats', '1', '--threads', '1', '--device', 'cpu')
    assert done.returncode == 0, done.stderr
    assert 'batch 2 of 64 x 32, float32' in done.stdout and 'medians of 1' in done.stdout
    row = r'^(\S+) +([\d.]+) features/s .* ([\d.]+) x resnet18; ([\d.]+) m parameters, (\d+) m Mult-Adds$'
    rows = {name: tuple(map(float, rest)) for name, *rest in re.findall(row, done.stdout, flags=re.M)}
    assert list(rows) == ['mobilenet_v1_0.5', 'mobilenet_v3', 'resnet18'] and rows['resnet18'][1] == 1
    speed, ratio, parameters, _ = rows['mobilenet_v1_0.5']
    assert abs(speed / rows['resnet18'][0] - ratio) < 0.02 * ratio + 0.01
    embedding = 512 * 1024 + 1024 + 2 * 1024 + 1024 * 128 + 128
    assert parameters == pytest.approx((818_592 + embedding) / 1e6, abs=0.006)


@pytest.mark.parametrize('arguments, message', [
    (('--repeats', '0'), '--repeats must be at least 1'), (('--shape', '16', '16'), 'at least 32 x 32'),
    (('--networks', 'vgg'), 'invalid choice'), (('--device', 'tpu'), 'device must be cpu'),
])
def test_bad_arguments(arguments, message):
    done = run(*arguments)
    assert done.returncode != 0 and message in done.stderr and 'Traceback' not in done.stderr
