"""IDE with ResNet-18 on cameras 1-3 and one half of the identities of Market-1501: the source of the two networks."""

_base_ = [
    '../_base_/models/ide_resnet18.py',
    '../_base_/datasets/market1501_cams123.py',
    '../_base_/schedules/scratch_16e.py',
    '../_base_/default_runtime.py',
]

# In place of ImageNet weights: drawn pedestrians.
load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
