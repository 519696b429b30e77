# Both losses of PLA on one embedding, the pooled map of ResNet-18 from scratch: for runs on a CPU.
_base_ = './pla_resnet50_single.py'

model = dict(
    backbone=dict(depth=18, last_stride=2, init_cfg=None),
    neck=dict(in_channels=512),
    heads=dict(ce=dict(in_channels=512)))
