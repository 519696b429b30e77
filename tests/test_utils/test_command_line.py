"""Errors of the command-line tools in one line."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmreid.datasets.image_io import ImageReadError, read_image
from mmreid.utils.command_line import check_device, plain_errors


class Images(Dataset):

    def __init__(self, path):
        self.path = path

    def __len__(self):
        return 2

    def __getitem__(self, idx):
        return read_image(self.path)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_broken_image_is_named_in_one_line(tmp_path, workers):
    path = tmp_path / 'a: b.jpg'
    path.write_bytes(b'\xff\xd8\xff\xda')
    with pytest.raises(SystemExit) as caught, plain_errors(ImageReadError):
        next(iter(DataLoader(Images(path), num_workers=workers)))
    assert str(caught.value) == f'ImageReadError: image "{path}" is truncated: 4 bytes and no end marker'


def test_an_unexpected_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), plain_errors(ValueError):
        raise ZeroDivisionError


def test_debugging_shows_the_traceback(monkeypatch):
    monkeypatch.setenv('MMREID_DEBUG', '1')
    with pytest.raises(ValueError, match='no'), plain_errors(ValueError):
        raise ValueError('no')


@pytest.mark.parametrize('device', ['cuda:7', 'cuda:', 'cuda:a', 'cuda0', 'CPU', 'cpu:0', ''])
def test_devices_that_are_not_there(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ValueError, match='the device must be cpu, or cuda'):
        check_device(device)
    for known in (None, 'cpu', 'cuda', 'cuda:0', 'cuda:1'):
        assert check_device(known) == known
