# Both losses of PLA on one embedding, the pooled map of ResNet-50 (section 3.1, "preliminary experiments").
_base_ = './pla_resnet50.py'

model = dict(
    neck=dict(_delete_=True, type='ReductionNeck', in_channels=2048, feat_channels=None, pool='max'),
    heads=dict(ce=dict(in_key='feat', in_channels=2048), tri=dict(in_key='feat')))
