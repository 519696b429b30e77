# CUHK01, 485 identities, as dtl_cuhk01.py, its training images without labels.
_base_ = './dtl_cuhk01.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='CUHK01', data_root='data/CUHK01', setting='485/486', split_id=0),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
