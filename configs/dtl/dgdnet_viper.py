"""DTL with DGDNet on VIPeR in two steps, SID+PV (DTL, Table 8); one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = [
    '../_base_/models/dtl_dgdnet.py',
    '../_base_/datasets/dtl_viper_144x56.py',
    '../_base_/schedules/dtl_two_step_40k.py',
    '../_base_/dtl_runtime.py',
]
