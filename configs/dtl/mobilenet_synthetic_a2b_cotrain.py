"""DTL co-training between synthetic domains with half of MobileNet, from the source of the small EmbAE trainings."""

_base_ = './resnet18_synthetic_a2b_cotrain.py'

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(_delete_=True, type='MobileNetV1', width_multiplier=0.5),
    neck=dict(in_channels=512),
    heads=dict(id=dict(in_channels=512)))
load_from = 'work_dirs/baseline/ide_mobilenet_synthetic/epoch_12.pth'
