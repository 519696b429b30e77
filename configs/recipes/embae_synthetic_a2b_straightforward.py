"""EmbAE, straightforward: synthetic domain a to domain b, all three steps."""

_base_ = './embae_synthetic_a2b_fix.py'

stages = dict(target=dict(config='../embae/mobilenet_synthetic_a2b_straightforward.py'))
