"""PUL between two networks of cameras of Market-1501, ResNet-18 at 128x64: cameras 4-6 without labels."""

_base_ = [
    '../_base_/models/ide_resnet18.py',
    '../_base_/datasets/market1501_cams456_pul.py',
    '../_base_/schedules/pul_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet18_cams123/epoch_16.pth'
default_hooks = dict(
    pseudo_labels=dict(
        type='PseudoLabelHook',
        labeller=dict(type='SelfPacedKMeans', num_clusters=375, threshold=0.85),  # about as many as there are people
        epochs_per_round=6,
        num_workers=1))
