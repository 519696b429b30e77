"""ResNet-50+PTL on Market-1501 (PTL, section 5.2; Table 2 for DenseNet-161)."""

_base_ = [
    '../_base_/models/resnet50_ptl.py',
    '../_base_/datasets/market1501.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(latent_state=dict(type='LatentStateResetHook', policy='epoch'))
