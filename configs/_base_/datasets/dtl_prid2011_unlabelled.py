# PRID 2011 as dtl_prid2011.py, its training images without labels.
_base_ = './dtl_prid2011.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='PRID2011', data_root='data/prid_2011', split_id=0),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
