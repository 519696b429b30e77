"""EmbAE, step 3, new after encoders by dataset: synthetic and cameras 1-3 to cameras 4-6 without labels."""

_base_ = './mobilenet_syntheticcams123_2cams456_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_dataset')))
load_from = 'work_dirs/embae/mobilenet_syntheticcams123_autoencoder_dataset/epoch_4.pth'
