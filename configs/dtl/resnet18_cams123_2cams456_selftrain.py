"""DTL self-training between two networks of cameras of Market-1501 without labels, ResNet-18: minutes on a CPU."""

_base_ = [
    '../_base_/models/ide_resnet18.py',
    '../_base_/datasets/market1501_cams456_pul.py',
    '../_base_/schedules/pul_small_two_step.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet18_cams123/epoch_16.pth'
default_hooks = dict(
    pseudo_labels=dict(
        type='PseudoLabelHook',
        labeller=dict(type='CrossCameraNeighbours'),
        epochs_per_round=6,
        restart='continue',
        num_workers=1))
