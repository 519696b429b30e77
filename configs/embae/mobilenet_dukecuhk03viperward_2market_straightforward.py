"""EmbAE, step 3, straightforward: four datasets to Market-1501 without labels."""

_base_ = [
    '../_base_/models/embae_mobilenet_autoencoder.py',
    '../_base_/datasets/embae_market_unlabelled.py',
    '../_base_/schedules/embae_straightforward.py',
    '../_base_/embae_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_dukecuhk03viperward_autoencoder/epoch_30.pth'
load_parts = ('backbone', 'neck', 'heads.ae')
