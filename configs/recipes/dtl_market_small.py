"""DTL small: ResNet-18 on 643 people of Market-1501, then in two steps on 100 others, on a CPU."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    source=dict(config='../dtl/resnet18_market_rest.py'),
    target=dict(config='../dtl/resnet18_market_100ids.py', init_from='source', carry={{_base_._carry}}))
