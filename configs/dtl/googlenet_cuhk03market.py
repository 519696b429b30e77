"""DTL with GoogLeNet on CUHK03 and Market-1501 merged: the large data set of the stages (DTL, section 4.1)."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_cuhk03market.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]
