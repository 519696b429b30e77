"""ResNet-50 on Market-1501, taught by a DenseNet-161+PTL (both features have 1024 numbers)."""

_base_ = [
    '../_base_/models/resnet50_std.py',
    '../_base_/datasets/market1501.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
