"""A progressive training small enough for a test: dropout, augmentation, norms, momentum, latent states."""

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from mmreid.registry import HOOKS
from mmreid.utils.checkpoint import read_checkpoint
from tests.test_engine.test_resume import Interrupted
from tests.test_engine.toy import toy_runner

SPACE = dict(
    loss_weight=dict(target='heads.tri.loss_module.loss_weight', low=0, high=2),
    margin=dict(target='heads.tri.loss_module.margin', low=-.1, high=.3),
    k=dict(target='heads.tri.loss_module.k', low=1, high=4, integer=True),
    p=dict(target='heads.tri.loss_module.p', low=1, high=8, integer=True))
LOOP = dict(_delete_=True, type='ProgressiveLearningLoop', max_epochs=5, num_trials=3, explore_epochs=2,
            exploit_epochs=2, search=dict(type='RandomSearch'), space=SPACE, val_interval=1)
HEADS = dict(
    ce=dict(type='ClassificationHead', in_key='feat', in_channels=16, dropout=0.3, num_classes=None),
    tri=dict(type='TripletHead', in_key='feat', loss=dict(type='GeneralizedBatchHardTripletLoss', k=3, margin=.5)))
SCHEDULES = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
             dict(type='MultiStepLR', by_epoch=True, milestones=[1, 3], gamma=0.5),
             dict(type='StepMomentum', by_epoch=True, step_size=1, gamma=0.5)]
#: The weight of another loss, by hand; the second cycle begins with another one than the first ended with.
BY_HAND = dict(type='HyperParameterScheduleHook', schedules=dict(
    ce=dict(target='heads.ce.loss_module.loss_weight', values=[(0, 1.0), (2, 0.5), (3, 2.0)])))


@HOOKS.register_module()
class Calls(Hook):
    """Notes every call of a hook, with the position of the training."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.calls = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.calls.append(('before', runner.epoch, runner.iter))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.calls.append(('after', runner.epoch, runner.iter))

    def before_train_epoch(self, runner) -> None:
        self.calls.append(('epoch', runner.epoch, runner.iter))

    def before_val_epoch(self, runner) -> None:
        self.calls.append(('val', runner.epoch, runner.iter))


def options(**more: Any) -> dict:
    """Options of a toy runner."""
    loop = {key[6:]: more.pop(key) for key in list(more) if key.startswith('loop__')}
    return {**dict(
        model__heads=dict(_delete_=True, **HEADS), train_cfg=dict(LOOP, **loop), param_scheduler=SCHEDULES,
        train_dataloader__batch_size=12, optim_wrapper__clip_grad=dict(max_norm=5.0),
        train_dataloader__sampler=dict(_delete_=True, type='PKSampler', num_pids=3, num_instances=4)), **more}


def runner_of(work_dir: Path, **more: Any):
    """A runner of the progressive toy."""
    return toy_runner(work_dir, **options(**more))


def content(path: Path) -> dict:
    """What must be equal in the checkpoints of two runs that are the same."""
    checkpoint = read_checkpoint(path)
    info = {key: value for key, value in checkpoint['message_hub']['runtime_info'].items()
            if key in ('progressive', 'iter', 'epoch')}
    info.get('progressive', {}).pop('start', None)
    scalars = {key: value['values'].tolist() for key, value in checkpoint['message_hub']['log_scalars'].items()
               if key.startswith('train/') and 'time' not in key}
    return dict(info=info, scalars=scalars, **{key: checkpoint[key] for key in (
        'state_dict', 'optimizer', 'param_schedulers', 'train_state')})


def lines_of(lines: list) -> list:
    """Lines of a record without what differs from run to run."""
    return [{key: value for key, value in line.items() if 'seconds' not in key} for line in lines]


__all__ = ['BY_HAND', 'Calls', 'Interrupted', 'LOOP', 'SPACE', 'content', 'lines_of', 'options', 'runner_of']
