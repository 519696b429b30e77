"""DenseNet-161 on Market-1501, taught by a DenseNet-161+PTL (PTL, Table 2): give model.teacher.checkpoint."""

_base_ = [
    '../_base_/models/densenet161_std.py',
    '../_base_/datasets/market1501.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
