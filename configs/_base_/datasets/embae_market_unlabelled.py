# The training images of Market-1501 without labels, 72 a batch; tested on Market-1501.
_base_ = './embae_duke2market.py'

train_dataloader = dict(
    sampler=dict(_delete_=True, type='ShuffleSampler'),
    dataset=dict(
        _delete_=True,
        type='UnlabelledDataset',
        dataset=dict(type='Market1501', data_root='data/Market-1501-v15.09.15'),
        pipeline={{_base_.train_pipeline}}))
