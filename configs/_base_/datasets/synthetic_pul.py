# Domain 'b' of the drawn pedestrians without labels, at 128x64 (height x width), tested on the same domain.
_base_ = './synthetic_ide.py'
domain = 'b'

train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='SyntheticReID', domain=domain, split='train'),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
val_dataloader = dict(dataset=dict(domain=domain))
test_dataloader = val_dataloader
