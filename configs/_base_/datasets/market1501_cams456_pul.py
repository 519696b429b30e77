# The other camera network without labels.
_base_ = './market1501_cams456.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='Market1501', data_root='data/Market-1501-v15.09.15', pid_fold=(1, 2),
                     keep_camids=[4, 5, 6], cache=True),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
