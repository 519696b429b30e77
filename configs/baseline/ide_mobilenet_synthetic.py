"""IDE with half of MobileNet on 400 people of synthetic domain a, from scratch: what small EmbAE trainings start from
in place of ImageNet weights."""

_base_ = './ide_resnet18_synthetic.py'

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(_delete_=True, type='MobileNetV1', width_multiplier=0.5),
    neck=dict(in_channels=512),
    heads=dict(id=dict(in_channels=512)))
