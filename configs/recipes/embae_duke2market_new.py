"""EmbAE, new: DukeMTMC-reID to Market-1501, all three steps."""

_base_ = './embae_duke2market_fix.py'

stages = dict(
    target=dict(config='../embae/mobilenet_duke2market_new.py', carry=('backbone', 'neck', 'heads.ae.decoder')))
