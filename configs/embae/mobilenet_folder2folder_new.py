"""EmbAE, step 3, new: your own labelled cameras to other ones without labels, data/new_cameras/*.jpg."""

_base_ = [
    '../_base_/models/embae_mobilenet_autoencoder.py',
    '../_base_/datasets/embae_new_cameras.py',
    '../_base_/schedules/embae_new.py',
    '../_base_/embae_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_folder_autoencoder/epoch_30.pth'
load_parts = ('backbone', 'neck', 'heads.ae.decoder')  # nuisance encoders start anew
# There is nothing to evaluate with.
val_cfg = test_cfg = None
