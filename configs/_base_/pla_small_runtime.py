"""How PLA runs on a CPU: in place of ImageNet weights it starts from drawn pedestrians."""

_base_ = './default_runtime.py'

load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
load_parts = ('backbone', )
