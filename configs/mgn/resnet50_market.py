"""MGN on Market-1501 (PTL, Table 2)."""

_base_ = [
    '../_base_/models/mgn_resnet50.py',
    '../_base_/datasets/market1501_mgn.py',
    '../_base_/schedules/sgd_mgn_80e.py',
    '../_base_/default_runtime.py',
]

tta = dict(default='flip')  # in tools/test.py
