# EmbAE, steps 2 and 3, with half of the channels.
_base_ = './embae_mobilenet_autoencoder.py'

model = dict(
    backbone=dict(width_multiplier=0.5),
    neck=dict(in_channels=512),
    heads=dict(ae=dict(in_channels=512)))
