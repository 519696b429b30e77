"""DenseNet-161+PTL on Market-1501 and DukeMTMC-reID as one data set: the one-step transfer of PTL, Table 5."""

_base_ = [
    '../_base_/models/densenet161_ptl.py',
    '../_base_/datasets/market_duke.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(latent_state=dict(type='LatentStateResetHook', policy='epoch'))
