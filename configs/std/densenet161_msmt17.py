"""DenseNet-161 on MSMT17, taught by a DenseNet-161+PTL (PTL, Tables 1 and 6): give model.teacher.checkpoint."""

_base_ = [
    '../_base_/models/densenet161_std.py',
    '../_base_/datasets/msmt17.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
