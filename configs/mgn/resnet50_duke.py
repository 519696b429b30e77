"""MGN on DukeMTMC-reID (PTL, Table 4)."""

_base_ = [
    '../_base_/models/mgn_resnet50.py',
    '../_base_/datasets/dukemtmc_mgn.py',
    '../_base_/schedules/sgd_mgn_80e.py',
    '../_base_/default_runtime.py',
]

tta = dict(default='flip')  # in tools/test.py
