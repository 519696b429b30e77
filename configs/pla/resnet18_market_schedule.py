"""Generalised batch hard, k from 4 to 1 by hand, with ResNet-18 on half of Market-1501 at 128x64 (section 3.3)."""

_base_ = './resnet18_market_composite.py'

custom_hooks = [
    dict(
        type='HyperParameterScheduleHook',
        schedules=dict(k=dict(target='heads.tri.loss_module.k', values=[(0, 4), (6, 2), (12, 1)]))),
]
