"""DTL small: as dtl_synthetic_a2b.py, domain b in one step."""

_base_ = './dtl_synthetic_a2b.py'

stages = dict(target=dict(config='../dtl/resnet18_synthetic_b_one_step.py'))
