# PLA with ResNet-18 from scratch and 256 numbers for each loss: for runs on a CPU.
_base_ = './pla_resnet50.py'

model = dict(
    backbone=dict(depth=18, last_stride=2, init_cfg=None),
    neck=dict(in_channels=512, out_channels=dict(ce=256, tri=256)),
    heads=dict(ce=dict(in_channels=256)))
