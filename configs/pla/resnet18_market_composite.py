"""PLA's network with ResNet-18 on half of Market-1501 at 128x64, batch hard from beginning to end."""

_base_ = [
    '../_base_/models/pla_resnet18.py',
    '../_base_/datasets/pla_market1501_small.py',
    '../_base_/schedules/pla_fixed_small.py',
    '../_base_/pla_small_runtime.py',
]
