"""DTL with GoogLeNet on Market-1501, losses SID+TL (DTL, Table 4)."""

_base_ = [
    '../_base_/models/dtl_googlenet_sid_tl.py',
    '../_base_/datasets/dtl_market1501.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]
