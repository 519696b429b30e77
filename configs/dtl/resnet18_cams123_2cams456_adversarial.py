"""DTL's adversarial comparison (gradient reversal), cameras 1-3 of Market-1501 to 4-6 without labels, ResNet-18."""

_base_ = [
    '../_base_/models/ide_resnet18_adversarial.py',
    '../_base_/datasets/market1501_cams123_2cams456.py',
    '../_base_/schedules/adversarial_small.py',
    '../_base_/dtl_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet18_cams123/epoch_16.pth'
train_cfg = dict(max_iters=1962, val_interval=654)  # 18 epochs over 3,488 images of the target
default_hooks = dict(checkpoint=dict(interval=654), initial_evaluation=dict(type='InitialEvaluationHook'))
