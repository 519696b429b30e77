"""DTL with GoogLeNet on Market-1501, ImageNet to Market in two steps, SID+PV (DTL, Tables 2, 4, 5, 8)."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_market1501.py',
    '../_base_/schedules/dtl_two_step_170k.py',
    '../_base_/dtl_runtime.py',
]
