"""One folder of images, config and checkpoint for all tests of a file."""

from types import SimpleNamespace

import pytest

from mmreid.apis import ReIDInferencer

from .toy_files import write_checkpoint, write_config, write_images


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    images = write_images(folder / 'images')
    return SimpleNamespace(images=images, config=write_config(folder / 'toy.py', images),
                           checkpoint=write_checkpoint(folder / 'weights.pth'))


@pytest.fixture(scope='module')
def inferencer(toy):
    return ReIDInferencer(toy.config, toy.checkpoint, device='cpu', batch_size=8)
