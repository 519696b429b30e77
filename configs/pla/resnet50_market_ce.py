"""Cross-entropy alone, with ResNet-50 on Market-1501 (Figure 3)."""

_base_ = './resnet50_market_single.py'

model = dict(heads=dict(_delete_=True, ce={{_base_.model.heads.ce}}))
