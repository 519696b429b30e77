"""Generalised batch hard, k from 8 to 1 by hand, with ResNet-50 on Market-1501 (section 3.3)."""

_base_ = './resnet50_market_composite.py'

custom_hooks = [
    dict(
        type='HyperParameterScheduleHook',
        schedules=dict(k=dict(target='heads.tri.loss_module.k', values=[(300 * i, 8 - i) for i in range(8)]))),
]
