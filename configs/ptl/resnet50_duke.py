"""ResNet-50+PTL on DukeMTMC-reID."""

_base_ = [
    '../_base_/models/resnet50_ptl.py',
    '../_base_/datasets/dukemtmc.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(latent_state=dict(type='LatentStateResetHook', policy='epoch'))
