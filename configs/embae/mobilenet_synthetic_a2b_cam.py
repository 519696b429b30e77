"""EmbAE, step 3, cam: synthetic domain a to domain b without labels."""

_base_ = './mobilenet_synthetic_a2b_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
load_from = 'work_dirs/embae/mobilenet_synthetic_autoencoder_cam/epoch_4.pth'
