"""DTL with GoogLeNet on Market-1501 from scratch in one step, SID+PV (DTL, Table 8)."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_market1501.py',
    '../_base_/schedules/dtl_one_step_150k.py',
    '../_base_/dtl_runtime.py',
]

model = dict(backbone=dict(init_cfg=None))
