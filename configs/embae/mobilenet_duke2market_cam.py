"""EmbAE, step 3, cam: DukeMTMC-reID to Market-1501 without labels, Table 1."""

_base_ = './mobilenet_duke2market_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
load_from = 'work_dirs/embae/mobilenet_duke_autoencoder_cam/epoch_30.pth'
