"""PLA with random search in place of Bayesian optimisation, ResNet-50 on Market-1501."""

_base_ = './resnet50_market.py'

train_cfg = dict(search=dict(_delete_=True, type='RandomSearch'))
