"""DTL with DGDNet on CUHK03 and Market-1501 merged, from scratch (for Table 8)."""

_base_ = [
    '../_base_/models/dtl_dgdnet.py',
    '../_base_/datasets/dtl_cuhk03market_144x56.py',
    '../_base_/schedules/dtl_one_step_150k.py',
    '../_base_/dtl_runtime.py',
]
