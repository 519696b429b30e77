# IDE, the network of PUL (section IV): ResNet-50, the output of its average pooling is the feature; for training a
# classifier behind dropout.
_base_ = './resnet50_baseline.py'

model = dict(
    neck=dict(_delete_=True, type='ReductionNeck', in_channels=2048, feat_channels=None, pool='avg'),
    heads=dict(
        id=dict(
            _delete_=True,
            type='ClassificationHead',
            in_channels=2048,
            num_classes=None,  # filled in from the training dataset
            dropout=0.5,
            init_std=0.001,
            loss=dict(type='CrossEntropyLoss'))))
