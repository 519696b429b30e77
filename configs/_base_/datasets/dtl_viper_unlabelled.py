# VIPeR as dtl_viper.py, its training images without labels.
_base_ = './dtl_viper.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='VIPeR', data_root='data/VIPeR', split_id=0),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
