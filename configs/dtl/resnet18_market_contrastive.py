"""SID and contrastive loss with ResNet-18 on half of Market-1501 at 128x64."""

_base_ = './resnet18_market.py'

model = dict(
    heads=dict(
        ver=dict(loss='contrastive'),
        ver_aux1=dict(loss='contrastive'),
        ver_aux2=dict(loss='contrastive')))
# What is trained is the distance of embeddings of unit length, which ranks as the cosine.
val_evaluator = dict(metric='cosine')
test_evaluator = val_evaluator
