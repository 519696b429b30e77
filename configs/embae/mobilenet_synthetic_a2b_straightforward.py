"""EmbAE, step 3, straightforward: synthetic domain a to domain b without labels."""

_base_ = [
    '../_base_/models/embae_mobilenet_small_autoencoder.py',
    '../_base_/datasets/embae_synthetic_b_unlabelled.py',
    '../_base_/schedules/embae_straightforward_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_synthetic_autoencoder/epoch_4.pth'
load_parts = ('backbone', 'neck', 'heads.ae')
