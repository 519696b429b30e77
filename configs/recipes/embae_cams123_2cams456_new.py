"""EmbAE, new: cameras 1-3 to 4-6 of Market-1501, all three steps."""

_base_ = './embae_cams123_2cams456_fix.py'

stages = dict(
    target=dict(config='../embae/mobilenet_cams123_2cams456_new.py', carry=('backbone', 'neck', 'heads.ae.decoder')))
