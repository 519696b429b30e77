"""EmbAE, step 3, straightforward: drawn pedestrians and cameras 1-3 to cameras 4-6 without labels."""

_base_ = [
    '../_base_/models/embae_mobilenet_small_autoencoder.py',
    '../_base_/datasets/embae_cams456_unlabelled.py',
    '../_base_/schedules/embae_straightforward_small.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_syntheticcams123_autoencoder/epoch_4.pth'
load_parts = ('backbone', 'neck', 'heads.ae')
