"""DTL small: as dtl_market_small.py, the 100 people in one step (the shape of Table 6)."""

_base_ = './dtl_market_small.py'

stages = dict(target=dict(config='../dtl/resnet18_market_100ids_one_step.py'))
