"""Runners that share a process."""

import time

from tests.test_engine.toy import toy_runner


def test_two_in_one_second(tmp_path, monkeypatch):
    """Each has a folder, a log and a history of its own; mmengine names all three by the second."""
    monkeypatch.setattr(time, 'time', lambda: 1e9)
    first, second = (toy_runner(tmp_path / name) for name in 'ab')
    assert second.timestamp == f'{first.timestamp}_2'
    assert first.message_hub is not second.message_hub and first.logger is not second.logger
    second.logger.warning('said by the second')
    second.message_hub.update_scalar('train/of_the_second', 1.0)
    log, = (tmp_path / 'b' / second.timestamp).glob('*.log')
    assert 'said by the second' in log.read_text()
    other, = (tmp_path / 'a' / first.timestamp).glob('*.log')
    assert 'said by the second' not in other.read_text()
    assert 'train/of_the_second' not in first.message_hub.log_scalars
