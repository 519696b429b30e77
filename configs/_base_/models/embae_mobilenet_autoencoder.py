# EmbAE, steps 2 and 3: the same network with nuisance encoder and decoder; its weights come from the step before.
_base_ = './embae_mobilenet.py'

model = dict(
    backbone=dict(init_cfg=None),
    heads=dict(_delete_=True, ae=dict(type='EmbAEHead', in_channels=1024, id_channels=128, nuisance='shared')))
