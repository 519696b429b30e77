"""EmbAE, step 2: cameras 1-3 of Market-1501, a nuisance encoder for each camera."""

_base_ = './mobilenet_cams123_autoencoder.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
