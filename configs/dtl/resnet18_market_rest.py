"""DTL's losses with ResNet-18 on 643 people of Market-1501, from scratch: the source of a small target."""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_market1501_rest.py',
    '../_base_/schedules/dtl_scratch_3k.py',
    '../_base_/dtl_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=800))
