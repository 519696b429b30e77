"""EmbAE, step 2: DukeMTMC-reID, a nuisance encoder for each camera."""

_base_ = './mobilenet_duke_autoencoder.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
