"""MGN on Market-1501 as the code released with PTL trains it: P=4 x K=4, Adam, 400 passes over the identities."""

_base_ = [
    '../_base_/models/mgn_resnet50.py',
    '../_base_/datasets/market1501_mgn_released.py',
    '../_base_/schedules/adam_400e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    neck=dict(init_cfg=dict(type='Normal', layer='BatchNorm1d', mean=1.0, std=0.02)),
    heads=dict(id=dict(head=dict(
        init_cfg=dict(type='Kaiming', layer='Linear', mode='fan_out', nonlinearity='relu', distribution='normal')))))

tta = dict(default='flip')  # in tools/test.py
