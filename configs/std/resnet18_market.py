"""ResNet-18 on Market-1501 at 128x64, taught by a ResNet-18+PTL, from scratch: a comparison that a CPU can run."""

_base_ = [
    '../_base_/models/resnet18_std.py',
    '../_base_/datasets/market1501_small.py',
    '../_base_/schedules/scratch_16e.py',
    '../_base_/default_runtime.py',
]
