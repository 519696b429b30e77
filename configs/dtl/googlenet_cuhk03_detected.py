"""DTL with GoogLeNet on classic CUHK03, boxes of the detector (DTL, Table 1); one of 20 splits."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_cuhk03.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]
