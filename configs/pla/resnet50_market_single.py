"""Both losses on one embedding, batch hard, with ResNet-50 on Market-1501."""

_base_ = [
    '../_base_/models/pla_resnet50_single.py',
    '../_base_/datasets/pla_market1501_multi.py',
    '../_base_/schedules/pla_fixed_3000e.py',
    '../_base_/pla_runtime.py',
]
