"""DTL with GoogLeNet on Market-1501, SID+PV, independent dropout of both images of a pair (DTL, Table 5)."""

_base_ = './googlenet_market.py'

model = dict(
    heads=dict(
        ver=dict(dropout_mode='random'),
        ver_aux1=dict(dropout_mode='random'),
        ver_aux2=dict(dropout_mode='random')))
