"""DenseNet-161+PTL on DukeMTMC-reID: a stage of PTL's transfers through several data sets."""

_base_ = [
    '../_base_/models/densenet161_ptl.py',
    '../_base_/datasets/dukemtmc.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(latent_state=dict(type='LatentStateResetHook', policy='epoch'))
