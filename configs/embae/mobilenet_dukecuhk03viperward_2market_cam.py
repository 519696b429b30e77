"""EmbAE, step 3, cam: four datasets to Market-1501 without labels, Table 2."""

_base_ = './mobilenet_dukecuhk03viperward_2market_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
load_from = 'work_dirs/embae/mobilenet_dukecuhk03viperward_autoencoder_cam/epoch_30.pth'
