"""DTL's autoencoder comparison with GoogLeNet, CUHK01 without labels; the code is the feature.

A stage of a recipe; trained by itself, it needs load_from=FILE: that of googlenet_cuhk03market_autoencoder.py.
"""

_base_ = [
    '../_base_/models/dtl_googlenet_autoencoder.py',
    '../_base_/datasets/dtl_cuhk01_unlabelled.py',
    '../_base_/schedules/dtl_autoencoder_20k.py',
    '../_base_/dtl_runtime.py',
]

train_dataloader = dict(sampler=dict(_delete_=True, type='ShuffleSampler'))  # there are no identities to choose from
