"""DTL with GoogLeNet on VIPeR in two steps (DTL, Tables 3, 5, 6, 8); one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_viper.py',
    '../_base_/schedules/dtl_two_step_40k.py',
    '../_base_/dtl_runtime.py',
]
