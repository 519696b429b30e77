"""DTL's autoencoder comparison, synthetic domain a to domain b without labels, ResNet-18; feature: the code."""

_base_ = [
    '../_base_/models/ide_resnet18_autoencoder.py',
    '../_base_/datasets/synthetic_pul.py',
    '../_base_/schedules/autoencoder_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/dtl/resnet18_synthetic_autoencoder/epoch_12.pth'
