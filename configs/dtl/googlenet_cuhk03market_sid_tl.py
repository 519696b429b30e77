"""DTL on CUHK03 and Market-1501 merged, SID+TL (for Table 5)."""

_base_ = [
    '../_base_/models/dtl_googlenet_sid_tl.py',
    '../_base_/datasets/dtl_cuhk03market.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]
