"""DTL's losses with ResNet-18 on 643 people of Market-1501: the source of a small target.

A stage of a recipe, after one on drawn pedestrians; trained by itself, it starts from scratch.
"""

_base_ = [
    '../_base_/models/dtl_resnet18.py',
    '../_base_/datasets/dtl_market1501_rest.py',
    '../_base_/schedules/dtl_small.py',
    '../_base_/dtl_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=400))
