"""EmbAE, step 2: drawn pedestrians and cameras 1-3 of Market-1501, a nuisance encoder for each camera."""

_base_ = './mobilenet_syntheticcams123_autoencoder.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
