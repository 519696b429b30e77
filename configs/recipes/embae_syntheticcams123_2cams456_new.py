"""EmbAE, new: drawn pedestrians and cameras 1-3 to cameras 4-6, all three steps."""

_base_ = './embae_syntheticcams123_2cams456_fix.py'

stages = dict(
    target=dict(
        config='../embae/mobilenet_syntheticcams123_2cams456_new.py',
        carry=('backbone', 'neck', 'heads.ae.decoder')))
