"""DTL's losses with ResNet-18 on Market-1501 at 128x64, from scratch, SID+PV: a comparison that a CPU can run."""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_market1501_small.py',
    '../_base_/schedules/dtl_scratch_3k.py',
    '../_base_/dtl_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=800))
