"""EmbAE, straightforward: four datasets to Market-1501, all three steps."""

_base_ = './embae_dukecuhk03viperward_2market_fix.py'

stages = dict(target=dict(config='../embae/mobilenet_dukecuhk03viperward_2market_straightforward.py'))
