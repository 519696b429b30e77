"""EmbAE, straightforward: DukeMTMC-reID to Market-1501, all three steps."""

_base_ = './embae_duke2market_fix.py'

stages = dict(target=dict(config='../embae/mobilenet_duke2market_straightforward.py'))
