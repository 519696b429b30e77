"""DTL with ResNet-18 on 40 synthetic people of domain b in two steps, a small target.

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_synthetic_b.py',
    '../_base_/schedules/dtl_two_step_600.py',
    '../_base_/dtl_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=300), logger=dict(interval=20))
