"""EmbAE, step 3, cam: drawn pedestrians and cameras 1-3 to cameras 4-6 without labels."""

_base_ = './mobilenet_syntheticcams123_2cams456_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
load_from = 'work_dirs/embae/mobilenet_syntheticcams123_autoencoder_cam/epoch_4.pth'
