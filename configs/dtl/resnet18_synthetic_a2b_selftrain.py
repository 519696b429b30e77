"""DTL self-training from synthetic domain a to domain b without labels, ResNet-18: minutes on a CPU."""

_base_ = [
    '../_base_/models/ide_resnet18.py',
    '../_base_/datasets/synthetic_pul.py',
    '../_base_/schedules/pul_small_two_step.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
default_hooks = dict(
    logger=dict(interval=20),
    pseudo_labels=dict(
        type='PseudoLabelHook',
        labeller=dict(type='CrossCameraNeighbours'),
        epochs_per_round=6,
        restart='continue',
        num_workers=0))
