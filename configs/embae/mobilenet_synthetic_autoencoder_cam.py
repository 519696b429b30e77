"""EmbAE, step 2: synthetic domain a, a nuisance encoder for each camera."""

_base_ = './mobilenet_synthetic_autoencoder.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
