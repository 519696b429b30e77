"""Batch-hard triplets alone, with ResNet-18 on half of Market-1501 at 128x64."""

_base_ = './resnet18_market_single.py'

model = dict(heads=dict(_delete_=True, tri={{_base_.model.heads.tri}}))
