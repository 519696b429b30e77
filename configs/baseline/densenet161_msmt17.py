"""DenseNet-161 on MSMT17: the row that PTL is compared with (PTL, Table 1)."""

_base_ = [
    '../_base_/models/densenet161_baseline.py',
    '../_base_/datasets/msmt17.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
