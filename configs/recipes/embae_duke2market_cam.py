"""EmbAE, cam: DukeMTMC-reID to Market-1501, all three steps."""

_base_ = './embae_duke2market_fix.py'

stages = dict(
    autoencoder=dict(config='../embae/mobilenet_duke_autoencoder_cam.py'),
    target=dict(config='../embae/mobilenet_duke2market_cam.py', carry=('backbone', 'neck', 'heads.ae.decoder')))
