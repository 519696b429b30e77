"""EmbAE, step 2: DukeMTMC-reID, CUHK03, VIPeR and WARD, one nuisance encoder."""

_base_ = [
    '../_base_/models/embae_mobilenet_autoencoder.py',
    '../_base_/datasets/embae_dukecuhk03viperward2market.py',
    '../_base_/schedules/embae_autoencoder.py',
    '../_base_/embae_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_dukecuhk03viperward_embedding/epoch_400.pth'
load_parts = ('backbone', 'neck')
