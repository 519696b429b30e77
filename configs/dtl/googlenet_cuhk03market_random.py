"""DTL on CUHK03 and Market-1501 merged, SID+PV, independent dropout (for Table 5)."""

_base_ = './googlenet_cuhk03market.py'

model = dict(
    heads=dict(
        ver=dict(dropout_mode='random'),
        ver_aux1=dict(dropout_mode='random'),
        ver_aux2=dict(dropout_mode='random')))
