"""Settings for all tests."""

import pytest
import torch
import yapf.yapflib.yapf_api
from mmengine.config import config as mmengine_config

from tests import shortcuts

# Test tensors are tiny: a second thread only waits for the first, above all where other processes compete for cores.
torch.set_num_threads(1)
shortcuts.install()


def pytest_collection_finish():
    shortcuts.freeze()


def pytest_runtest_logfinish():
    shortcuts.freeze()


@pytest.fixture
def yapf_formats(monkeypatch):
    """Texts of configs are set out as outside the tests."""
    monkeypatch.setattr(mmengine_config, 'FormatCode', yapf.yapflib.yapf_api.FormatCode)
