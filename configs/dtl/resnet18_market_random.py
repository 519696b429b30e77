"""SID+PV with ResNet-18 on half of Market-1501 at 128x64, independent dropout (the shape of Table 5)."""

_base_ = './resnet18_market.py'

model = dict(
    heads=dict(
        ver=dict(dropout_mode='random'),
        ver_aux1=dict(dropout_mode='random'),
        ver_aux2=dict(dropout_mode='random')))
