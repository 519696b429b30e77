"""PLA with a grid of k and p in place of Bayesian optimisation, ResNet-50 on Market-1501."""

_base_ = './resnet50_market.py'

train_cfg = dict(
    search=dict(_delete_=True, type='GridSearch', values=dict(k=[1, 2, 4, 8], p=[1, 8])),
    space=dict(_delete_=True, k={{_base_.train_cfg.space.k}}, p={{_base_.train_cfg.space.p}}))
