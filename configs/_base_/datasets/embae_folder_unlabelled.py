# Your own images without labels, data/my_images/*.jpg, 72 a batch.
_base_ = './embae_market_unlabelled.py'

train_dataloader = dict(
    dataset=dict(dataset=dict(_delete_=True, type='FolderReID', data_root='data/my_images', labels=False)))
