# The training images of synthetic domain 'b' without labels, 72 a batch; tested on domain 'b'.
_base_ = './embae_synthetic.py'

train_dataloader = dict(
    sampler=dict(_delete_=True, type='ShuffleSampler'),
    dataset=dict(
        _delete_=True,
        type='UnlabelledDataset',
        dataset=dict(type='SyntheticReID', domain='b'),
        pipeline={{_base_.train_pipeline}}))
