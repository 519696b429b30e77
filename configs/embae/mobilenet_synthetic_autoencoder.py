"""EmbAE, step 2: synthetic domain a, one nuisance encoder."""

_base_ = [
    '../_base_/models/embae_mobilenet_small_autoencoder.py',
    '../_base_/datasets/embae_synthetic.py',
    '../_base_/schedules/embae_autoencoder_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_synthetic_embedding/epoch_12.pth'
load_parts = ('backbone', 'neck')
