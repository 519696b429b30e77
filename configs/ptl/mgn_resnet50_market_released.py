"""MGN+PTL on Market-1501 as the released code trains it: P=4 x K=4, Adam, 400 passes over the identities."""

_base_ = [
    '../_base_/models/mgn_resnet50_ptl.py',
    '../_base_/datasets/market1501_mgn_released.py',
    '../_base_/schedules/adam_400e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    neck=dict(
        cell_cfg=dict(bias=False, on_smaller_batch='truncate'),
        fusion_cfg=dict(bias=True),
        parts=dict(
            reduction_cfg=dict(bias=True, norm_cfg=dict(type='BN1d'), act_cfg=dict(type='ReLU')),
            init_cfg=dict(type='Normal', layer='BatchNorm1d', mean=1.0, std=0.02))),
    heads=dict(id=dict(head=dict(
        init_cfg=dict(type='Kaiming', layer='Linear', mode='fan_in', nonlinearity='relu', distribution='normal')))))

# As the code means it. After its first evaluation (after epoch 1) it resets before every batch: policy='batch'.
default_hooks = dict(latent_state=dict(type='LatentStateResetHook', policy='epoch'))
tta = dict(default='flip')  # in tools/test.py
