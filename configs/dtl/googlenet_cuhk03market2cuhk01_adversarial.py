"""DTL's adversarial comparison (gradient reversal) with GoogLeNet, CUHK01 without labels.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of googlenet_cuhk03market.py.
"""

_base_ = [
    '../_base_/models/dtl_googlenet_adversarial.py',
    '../_base_/datasets/dtl_cuhk03market2cuhk01.py',
    '../_base_/schedules/dtl_adversarial_20k.py',
    '../_base_/dtl_runtime.py',
]
