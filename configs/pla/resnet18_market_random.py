"""PLA with random search in place of Bayesian optimisation, ResNet-18 on half of Market-1501 at 128x64."""

_base_ = './resnet18_market.py'

train_cfg = dict(search=dict(_delete_=True, type='RandomSearch'))
