"""DTL with GoogLeNet on VIPeR, SID+TL (DTL, Table 5).

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = [
    '../_base_/models/dtl_googlenet_sid_tl.py',
    '../_base_/datasets/dtl_viper.py',
    '../_base_/schedules/dtl_two_step_40k.py',
    '../_base_/dtl_runtime.py',
]
