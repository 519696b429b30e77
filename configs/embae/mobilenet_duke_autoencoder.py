"""EmbAE, step 2: DukeMTMC-reID, one nuisance encoder."""

_base_ = [
    '../_base_/models/embae_mobilenet_autoencoder.py',
    '../_base_/datasets/embae_duke2market.py',
    '../_base_/schedules/embae_autoencoder.py',
    '../_base_/embae_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_duke_embedding/epoch_400.pth'
load_parts = ('backbone', 'neck')
