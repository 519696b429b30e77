"""Training loops and data that make no batch."""

import pytest

from tests.test_engine.toy import toy_runner

BY_ITERATIONS = dict(_delete_=True, by_epoch=False, max_iters=3, val_interval=3)


@pytest.mark.parametrize('train_cfg', [dict(by_epoch=True, max_epochs=2), BY_ITERATIONS], ids=['epochs', 'iterations'])
def test_too_few_images_for_a_batch(tmp_path, train_cfg):
    """The toy data have 6 people x 2 cameras x 2 images; a batch of all of them is one."""
    options = dict(train_cfg=train_cfg, param_scheduler=None)
    with pytest.raises(ValueError, match='^24 images do not make one batch of 25, and a smaller one is dropped: set a '
                                         'smaller train_dataloader.batch_size$'):
        toy_runner(tmp_path / 'a', train_dataloader__batch_size=25, **options).train()
    assert not list((tmp_path / 'a').glob('*.pth'))
    runner = toy_runner(tmp_path / 'b', train_dataloader__batch_size=24, **options)
    runner.train()
    assert runner.iter == (2 if train_cfg['by_epoch'] else 3)
    runner = toy_runner(tmp_path / 'c', train_dataloader__batch_size=25, train_dataloader__drop_last=False, **options)
    runner.train()
    assert runner.iter == (2 if train_cfg['by_epoch'] else 3)
