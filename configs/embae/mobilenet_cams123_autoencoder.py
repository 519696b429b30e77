"""EmbAE, step 2: cameras 1-3 of Market-1501, one nuisance encoder."""

_base_ = [
    '../_base_/models/embae_mobilenet_small_autoencoder.py',
    '../_base_/datasets/embae_cams123.py',
    '../_base_/schedules/embae_autoencoder_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_cams123_embedding/epoch_12.pth'
load_parts = ('backbone', 'neck')
