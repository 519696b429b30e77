"""MGN on Market-1501 as Wang et al. describe it: a reduction for each vector, softmax on the unreduced global ones."""

_base_ = './resnet50_market.py'

# The mean of the eight softmax losses, in two groups; classifiers without bias.
model = dict(
    neck=dict(reduction='separate', unreduced_globals=True),
    heads=dict(
        id=dict(
            in_keys=['part_2_1', 'part_2_2', 'part_3_1', 'part_3_2', 'part_3_3'],
            reduction='sum',
            head=dict(bias=False, loss=dict(loss_weight=1 / 8))),
        id_global=dict(
            type='HeadGroup',
            in_keys=['unreduced_1', 'unreduced_2', 'unreduced_3'],
            reduction='sum',
            head=dict(
                type='ClassificationHead',
                in_channels=2048,
                num_classes=None,  # filled in from the training dataset
                bias=False,
                loss=dict(type='CrossEntropyLoss', loss_weight=1 / 8)))))
