"""EmbAE, new after encoders by dataset: four datasets to Market-1501, all three steps."""

_base_ = './embae_dukecuhk03viperward_2market_fix.py'

stages = dict(
    autoencoder=dict(config='../embae/mobilenet_dukecuhk03viperward_autoencoder_dataset.py'),
    target=dict(
        config='../embae/mobilenet_dukecuhk03viperward_2market_dataset.py',
        carry=('backbone', 'neck', 'heads.ae.decoder')))
