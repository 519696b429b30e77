# Training images of DukeMTMC-reID without labels, prepared as PUL does.
_base_ = './dukemtmc_ide.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        dataset=dict(type='DukeMTMCreID', data_root='data/DukeMTMC-reID'),
        pipeline={{_base_.train_pipeline}},
        test_pipeline={{_base_.test_pipeline}}))
