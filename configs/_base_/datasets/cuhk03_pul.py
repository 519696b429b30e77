# Training images of CUHK03 without labels, prepared as PUL does.
_base_ = './cuhk03_ide.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='CUHK03', data_root='data/cuhk03_release', protocol='new', box='detected'),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
