"""DTL small: ResNet-18 on synthetic domain a, then in two steps on 40 people of domain b, on a CPU."""

_base_ = '../_base_/dtl_carry.py'

stages = dict(
    source=dict(config='../dtl/resnet18_synthetic.py'),
    target=dict(config='../dtl/resnet18_synthetic_b.py', init_from='source', carry={{_base_._carry}}))
