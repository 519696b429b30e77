"""EmbAE, step 2: your own labelled images, one nuisance encoder."""

_base_ = [
    '../_base_/models/embae_mobilenet_autoencoder.py',
    '../_base_/datasets/embae_old_cameras.py',
    '../_base_/schedules/embae_autoencoder.py',
    '../_base_/embae_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_folder_embedding/epoch_400.pth'
load_parts = ('backbone', 'neck')
