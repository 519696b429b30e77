"""PLA's network with ResNet-50 on Market-1501, batch hard from beginning to end."""

_base_ = [
    '../_base_/models/pla_resnet50.py',
    '../_base_/datasets/pla_market1501_multi.py',
    '../_base_/schedules/pla_fixed_3000e.py',
    '../_base_/pla_runtime.py',
]
