"""EmbAE, step 3, new after encoders by dataset: four datasets to Market-1501 without labels."""

_base_ = './mobilenet_dukecuhk03viperward_2market_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_dataset')))
load_from = 'work_dirs/embae/mobilenet_dukecuhk03viperward_autoencoder_dataset/epoch_30.pth'
