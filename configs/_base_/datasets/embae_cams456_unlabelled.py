# The training images of cameras 4-6 of Market-1501, of other people, without labels, 72 a batch; tested on cameras 4-6.
_base_ = './embae_cams123.py'

train_dataloader = dict(
    sampler=dict(_delete_=True, type='ShuffleSampler'),
    dataset=dict(
        _delete_=True,
        type='UnlabelledDataset',
        dataset=dict(type='Market1501', data_root='data/Market-1501-v15.09.15', pid_fold=(1, 2),
                     keep_camids=[4, 5, 6], cache=True),
        pipeline={{_base_.train_pipeline}}))
