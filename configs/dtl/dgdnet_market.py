"""DTL with DGDNet on Market-1501 from scratch in one step, SID+PV (DTL, Table 8)."""

_base_ = [
    '../_base_/models/dtl_dgdnet.py',
    '../_base_/datasets/dtl_market1501_144x56.py',
    '../_base_/schedules/dtl_one_step_150k.py',
    '../_base_/dtl_runtime.py',
]
