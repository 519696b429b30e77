"""ResNet-50 on Market-1501: the row that PTL is compared with."""

_base_ = [
    '../_base_/models/resnet50_baseline.py',
    '../_base_/datasets/market1501.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
