"""DTL small: ResNet-18 on drawn pedestrians (in place of ImageNet), on 643 people of Market-1501, then in two steps on
100 others, on a CPU."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    drawn=dict(config='../baseline/ide_resnet18_synthetic.py'),
    source=dict(config='../dtl/resnet18_market_rest.py', init_from='drawn', carry=('backbone', )),
    target=dict(config='../dtl/resnet18_market_100ids.py', init_from='source', carry={{_base_._carry}}))
