# IDE with ResNet-18 from scratch: for quick runs on a CPU.
_base_ = './ide_resnet50.py'

model = dict(
    backbone=dict(depth=18, init_cfg=None),
    neck=dict(in_channels=512),
    heads=dict(id=dict(in_channels=512)))
