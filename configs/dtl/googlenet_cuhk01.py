"""DTL with GoogLeNet on CUHK01, 485 training identities (DTL, Table 3); one of ten splits.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = [
    '../_base_/models/dtl_googlenet.py',
    '../_base_/datasets/dtl_cuhk01.py',
    '../_base_/schedules/dtl_two_step_40k.py',
    '../_base_/dtl_runtime.py',
]
