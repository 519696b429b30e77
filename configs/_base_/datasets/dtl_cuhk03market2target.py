# CUHK03 and Market-1501 with labels, 32 identities x 2 images a batch, and 64 images of a target without; which target,
# and what is tested, is for the files that build on this one.
_base_ = './dtl_cuhk03market.py'

train_dataloader = dict(
    batch_size=128,
    sampler=dict(_delete_=True, type='SourceTargetPKSampler', num_pids=32, num_instances=2, num_unlabelled=64),
    dataset=dict(
        _delete_=True,
        type='SourceTargetDataset',
        source=dict(type='MergedReIDDataset', datasets={{_base_.train_dataloader.dataset.datasets}}),
        pipeline={{_base_.train_pipeline}}))
