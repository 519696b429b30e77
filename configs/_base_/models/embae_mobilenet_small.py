# EmbAE, step 1, with half of the channels and from scratch: for quick runs on a CPU.
_base_ = './embae_mobilenet.py'

model = dict(backbone=dict(width_multiplier=0.5, init_cfg=None), neck=dict(in_channels=512))
