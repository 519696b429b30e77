"""DTL with ResNet-18 on 100 people of Market-1501 in two steps, a small target.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_market1501_100ids.py',
    '../_base_/schedules/dtl_two_step_600.py',
    '../_base_/dtl_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=300))
