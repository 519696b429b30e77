"""DTL, ImageNet to Market-1501: one stage of two steps (DTL, Table 2)."""

stages = dict(market=dict(config='../dtl/googlenet_market.py'))
