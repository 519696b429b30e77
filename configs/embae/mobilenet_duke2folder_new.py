"""EmbAE, step 3, new: DukeMTMC-reID to your own images without labels, data/my_images/*.jpg."""

_base_ = [
    '../_base_/models/embae_mobilenet_autoencoder.py',
    '../_base_/datasets/embae_folder_unlabelled.py',
    '../_base_/schedules/embae_new.py',
    '../_base_/embae_runtime.py',
]

load_from = 'work_dirs/embae/mobilenet_duke_autoencoder/epoch_30.pth'
load_parts = ('backbone', 'neck', 'heads.ae.decoder')  # nuisance encoders start anew
# Nobody knows who is who, so there is nothing to evaluate with.
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
