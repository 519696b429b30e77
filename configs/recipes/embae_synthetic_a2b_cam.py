"""EmbAE, cam: synthetic domain a to domain b, all three steps."""

_base_ = './embae_synthetic_a2b_fix.py'

stages = dict(
    autoencoder=dict(config='../embae/mobilenet_synthetic_autoencoder_cam.py'),
    target=dict(config='../embae/mobilenet_synthetic_a2b_cam.py', carry=('backbone', 'neck', 'heads.ae.decoder')))
