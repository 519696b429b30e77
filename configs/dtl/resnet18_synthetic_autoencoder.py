"""An autoencoder on the feature of the source network, pre-trained on synthetic domain a (DTL, section 5.6)."""

_base_ = [
    '../_base_/models/ide_resnet18_autoencoder.py',
    '../_base_/datasets/synthetic_ide.py',
    '../_base_/schedules/autoencoder_small.py',
    '../_base_/default_runtime.py',
]

train_cfg = dict(max_epochs=12, val_interval=12)
load_from = 'work_dirs/baseline/ide_resnet18_synthetic/epoch_12.pth'
load_parts = ('backbone', )
