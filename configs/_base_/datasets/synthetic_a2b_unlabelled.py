# Domain 'a' of the drawn pedestrians with labels and domain 'b' without, half a batch each, at 128x64 (height x width);
# tested on domain 'b'.
_base_ = './synthetic_ide.py'

train_dataloader = dict(
    batch_size=64,
    sampler=dict(type='DomainBalancedSampler'),
    dataset=dict(
        _delete_=True,
        type='SourceTargetDataset',
        source=dict(type='SyntheticReID', domain='a', split='train', num_train_pids=400, num_images=2),
        target=dict(type='SyntheticReID', domain='b', split='train'),
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(dataset=dict(domain='b'))
test_dataloader = val_dataloader
