"""An autoencoder on the feature of the source network, pre-trained on cameras 1-3 of Market-1501 (DTL, section 5.6)."""

_base_ = [
    '../_base_/models/ide_resnet18_autoencoder.py',
    '../_base_/datasets/market1501_cams123.py',
    '../_base_/schedules/autoencoder_small.py',
    '../_base_/default_runtime.py',
]

train_cfg = dict(max_epochs=16, val_interval=16)
load_from = 'work_dirs/baseline/ide_resnet18_cams123/epoch_16.pth'
load_parts = ('backbone', )
