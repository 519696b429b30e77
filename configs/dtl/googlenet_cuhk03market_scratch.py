"""DTL with GoogLeNet on CUHK03 and Market-1501 merged, from scratch (for Table 8)."""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_cuhk03market.py',
    '../_base_/schedules/dtl_one_step_150k.py',
    '../_base_/dtl_runtime.py',
]

model = dict(backbone=dict(init_cfg=None))
