"""MGN on CUHK03, boxes of the detector (PTL, Table 3)."""

_base_ = [
    '../_base_/models/mgn_resnet50.py',
    '../_base_/datasets/cuhk03_detected_mgn.py',
    '../_base_/schedules/sgd_mgn_80e.py',
    '../_base_/default_runtime.py',
]

tta = dict(default='flip')  # in tools/test.py
