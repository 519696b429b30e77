"""EmbAE, new after encoders by dataset: drawn pedestrians and cameras 1-3 to cameras 4-6, all three steps."""

_base_ = './embae_syntheticcams123_2cams456_fix.py'

stages = dict(
    autoencoder=dict(config='../embae/mobilenet_syntheticcams123_autoencoder_dataset.py'),
    target=dict(
        config='../embae/mobilenet_syntheticcams123_2cams456_dataset.py',
        carry=('backbone', 'neck', 'heads.ae.decoder')))
