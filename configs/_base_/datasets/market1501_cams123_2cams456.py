# Cameras 1-3 of Market-1501 with labels and cameras 4-6, with other people, without; half a batch each.
_base_ = './market1501_cams456.py'

train_dataloader = dict(
    batch_size=64,
    sampler=dict(type='DomainBalancedSampler'),
    dataset=dict(
        _delete_=True,
        type='SourceTargetDataset',
        source=dict(type='Market1501', data_root='data/Market-1501-v15.09.15', pid_fold=(0, 2),
                    keep_camids=[1, 2, 3], cache=True),
        target=dict(type='Market1501', data_root='data/Market-1501-v15.09.15', pid_fold=(1, 2),
                    keep_camids=[4, 5, 6], cache=True),
        pipeline={{_base_.train_pipeline}}))
