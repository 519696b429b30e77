"""EmbAE, step 2: your own labelled images, a nuisance encoder for each camera."""

_base_ = './mobilenet_folder_autoencoder.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
