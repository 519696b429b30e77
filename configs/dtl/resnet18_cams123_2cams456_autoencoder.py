"""DTL's autoencoder comparison, cameras 1-3 of Market-1501 to 4-6 without labels, ResNet-18; feature: the code."""

_base_ = [
    '../_base_/models/ide_resnet18_autoencoder.py',
    '../_base_/datasets/market1501_cams456_pul.py',
    '../_base_/schedules/autoencoder_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/dtl/resnet18_cams123_autoencoder/epoch_16.pth'
