"""EmbAE, step 3, cam: cameras 1-3 to 4-6 of Market-1501 without labels."""

_base_ = './mobilenet_cams123_2cams456_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
load_from = 'work_dirs/embae/mobilenet_cams123_autoencoder_cam/epoch_4.pth'
