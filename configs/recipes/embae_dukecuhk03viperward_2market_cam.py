"""EmbAE, cam: four datasets to Market-1501, all three steps."""

_base_ = './embae_dukecuhk03viperward_2market_fix.py'

stages = dict(
    autoencoder=dict(config='../embae/mobilenet_dukecuhk03viperward_autoencoder_cam.py'),
    target=dict(
        config='../embae/mobilenet_dukecuhk03viperward_2market_cam.py',
        carry=('backbone', 'neck', 'heads.ae.decoder')))
