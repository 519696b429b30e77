# Training images of Market-1501 without labels, prepared as PUL does.
_base_ = './market1501_ide.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
