"""DTL self-training with the verification loss, too (3 : 1), from synthetic domain a to b without labels."""

_base_ = ['./resnet18_synthetic_a2b_selftrain.py', '../_base_/dtl_small_pv.py']

model = dict(heads=dict(ver={{_base_._verification}}))
train_dataloader = dict(sampler={{_base_._pairs}})
