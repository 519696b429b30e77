"""PUL from drawn pedestrians to cameras 4-6 of Market-1501 without labels."""

_base_ = './resnet18_cams123_2cams456.py'

load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
