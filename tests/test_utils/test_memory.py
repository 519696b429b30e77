"""What is available and what a call takes."""

import time

import numpy as np
import pytest

from mmreid.utils import memory
from mmreid.utils.memory import available_bytes, measured, peak_extra_bytes, seconds


def test_available_bytes_is_plausible():
    assert 2**20 < available_bytes() < 2**50


def test_control_group_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, '_meminfo', lambda key: 10**12)
    texts = {'/sys/fs/cgroup/memory.max': '5000', '/sys/fs/cgroup/memory.current': '2000'}

    class Files(type(tmp_path)):

        def read_text(self, *args, **kwargs):
            if str(self) not in texts:
                raise FileNotFoundError
            return texts[str(self)]

    monkeypatch.setattr(memory, 'Path', Files)
    assert available_bytes() == 3000
    texts['/sys/fs/cgroup/memory.max'] = 'max'
    assert available_bytes() == 10**12
    monkeypatch.setattr(memory, '_meminfo', lambda key: None)
    assert available_bytes() == memory.UNKNOWN_BYTES


def test_time_and_memory_of_a_call():
    size = 200 * 2**20
    found = peak_extra_bytes(lambda: np.ones(size, np.uint8).sum())
    if found is None:
        pytest.skip('this system does not tell the peak of a process')
    assert 0.9 * size < found < 1.5 * size
    with measured() as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 2 and cost.peak_extra_bytes < size / 2 and cost.peak_bytes > 0
    assert seconds(lambda: time.sleep(0.05)) >= 0.05


def test_systems_without_proc(monkeypatch):
    monkeypatch.setattr(memory, '_reset_peak', lambda device: None)
    with measured() as cost:
        pass
    assert cost.peak_bytes is None and cost.peak_extra_bytes is None
