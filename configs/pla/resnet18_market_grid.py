"""PLA with a grid of k and p in place of Bayesian optimisation, ResNet-18 on half of Market-1501 at 128x64."""

_base_ = './resnet18_market.py'

train_cfg = dict(
    search=dict(_delete_=True, type='GridSearch', values=dict(k=[1, 4], p=[1, 8])),
    space=dict(_delete_=True, k={{_base_.train_cfg.space.k}}, p={{_base_.train_cfg.space.p}}))
