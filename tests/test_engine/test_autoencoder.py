"""The autoencoder on a frozen network in short real trainings: what moves, what it reads, from source to target."""

import pytest
import torch
from mmengine.hooks import Hook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import read_checkpoint
from tests.test_engine.toy import toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

PHASE = dict(type='PhaseHook', phases=[dict(name='autoencoder', trainable=('neck.encoder', 'heads.ae'))])
TRAINED = {'neck.encoder.0.weight', 'neck.encoder.0.bias', 'heads.ae.decoder.weight', 'heads.ae.decoder.bias'}
TARGET = dict(type='SyntheticReID', domain='b', num_train_pids=4, num_cams=2, num_images=2, size=(32, 16))


@HOOKS.register_module()
class AutoencoderWitness(Hook):
    """Losses, and the weights before and after training."""
    priority = 'BELOW_NORMAL'

    def __init__(self):
        self.losses = []

    def before_train(self, runner):
        self.before = {key: value.clone() for key, value in runner.model.state_dict().items()}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({key: float(value) for key, value in outputs.items()})


def options(frozen=True, overlay=True, **more):
    cfg = toy_config('.')
    dataset = dict(_delete_=True, type='PseudoLabelDataset', dataset=TARGET, pipeline=cfg.pipeline,
                   test_pipeline=cfg.pipeline) if overlay else dict(TARGET, _delete_=True, split='train',
                                                                    pipeline=cfg.pipeline)
    return dict(dict(
        model__neck=dict(_delete_=True, type='AutoencoderNeck', in_channels=8, code_channels=4),
        model__heads=dict(_delete_=True, ae=dict(type='AutoencoderHead', out_channels=8, code_channels=4)),
        optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)),
        train_dataloader__dataset=dataset, train_dataloader__batch_size=8, param_scheduler=None,
        train_cfg=dict(_delete_=True, by_epoch=True, max_epochs=3, val_interval=10),
        val_dataloader=None, val_cfg=None, val_evaluator=None,
        custom_hooks=[*([PHASE] if frozen else []), dict(type='AutoencoderWitness')]), **more)


def train(folder, **more):
    runner = toy_runner(folder, **options(**more))
    runner.train()
    return runner, next(hook for hook in runner.hooks if isinstance(hook, AutoencoderWitness))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    return folder, *train(folder, train_cfg=dict(_delete_=True, by_epoch=True, max_epochs=12, val_interval=100))


def test_only_the_autoencoder_changes(whole):
    """The base network is as before, bit for bit, with the statistics of its batch norm."""
    _, runner, witness = whole
    now = runner.model.state_dict()
    assert any('running_mean' in key for key in now), 'the toy lacks statistics'
    assert {key for key, value in witness.before.items() if not torch.equal(value, now[key])} == TRAINED


def test_it_learns_to_reconstruct(whole):
    _, _, witness = whole
    assert witness.losses[-1]['ae.loss_ae'] < 0.5 * witness.losses[0]['ae.loss_ae']
    assert witness.losses[-1]['ae.residual'] < witness.losses[0]['ae.residual']
    assert set(witness.losses[0]) == {'loss', 'ae.loss_ae', 'ae.residual'}


def test_without_the_phase_the_base_network_is_trained_through_the_encoder(tmp_path):
    """Its target stays a constant, so that it is not trained to give features that are easy to reconstruct."""
    runner, witness = train(tmp_path, frozen=False)
    now = runner.model.state_dict()
    changed = {key for key, value in witness.before.items() if not torch.equal(value, now[key])}
    assert TRAINED < changed and any(key.startswith('backbone') and 'weight' in key for key in changed)


def test_labels_are_not_read(whole, tmp_path):
    """The plain data set, with its labels, trains what the overlay without any trains."""
    _, first = train(tmp_path / 'overlay')
    _, second = train(tmp_path / 'plain', overlay=False)
    assert first.losses == second.losses


def test_from_source_to_target(whole, tmp_path):
    """The autoencoder of one training is the start of the next one, and its code what is tested."""
    folder, *_ = whole
    given = read_checkpoint(folder / 'epoch_12.pth')['state_dict']
    runner = toy_runner(tmp_path, **options(load_from=str(folder / 'epoch_12.pth')))
    runner.load_or_resume()
    assert same(dict(runner.model.state_dict()), given)
    feats = runner.model.eval()(torch.rand(2, 3, 32, 16), mode='tensor')
    assert feats['feat'].shape == (2, 4) and torch.equal(runner.model.feature(feats), feats['feat'])


def test_base_network_from_a_plain_checkpoint(whole, tmp_path):
    """load_parts takes the backbone of a network that was trained to classify; the autoencoder starts new."""
    plain = options(overlay=False, custom_hooks=[], model__neck=dict(
        _delete_=True, type='ReductionNeck', in_channels=8, feat_channels=None), model__heads=dict(
            _delete_=True, id=dict(type='ClassificationHead', in_channels=8, num_classes=None)),
        train_cfg=dict(_delete_=True, by_epoch=True, max_epochs=1, val_interval=10))
    toy_runner(tmp_path / 'source', **plain).train()
    source = read_checkpoint(tmp_path / 'source' / 'epoch_1.pth')['state_dict']
    _, witness = train(tmp_path / 'ae', load_from=str(tmp_path / 'source' / 'epoch_1.pth'), load_parts=('backbone', ))
    assert all(torch.equal(witness.before[key], value) for key, value in source.items() if key.startswith('backbone'))
