"""DTL's losses SID+PV with ResNet-18 on one half of Market-1501's training identities at 128x64: a comparison that a
CPU can run."""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_market1501_small.py',
    '../_base_/schedules/dtl_small.py',
    '../_base_/dtl_runtime.py',
]

# In place of ImageNet weights: drawn pedestrians.
load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
load_parts = ('backbone', )
default_hooks = dict(checkpoint=dict(interval=400))
