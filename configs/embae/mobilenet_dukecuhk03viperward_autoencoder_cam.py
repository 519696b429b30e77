"""EmbAE, step 2: DukeMTMC-reID, CUHK03, VIPeR and WARD, a nuisance encoder for each camera."""

_base_ = './mobilenet_dukecuhk03viperward_autoencoder.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
