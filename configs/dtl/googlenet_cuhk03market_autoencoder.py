"""An autoencoder on the feature of GoogLeNet, pre-trained on CUHK03 and Market-1501 (DTL, section 5.6).

A stage of a recipe; by itself it needs the network of googlenet_cuhk03market.py: load_from=FILE load_parts=backbone.
"""

_base_ = [
    '../_base_/models/dtl_googlenet_autoencoder.py',
    '../_base_/datasets/dtl_cuhk03market.py',
    '../_base_/schedules/dtl_autoencoder_20k.py',
    '../_base_/dtl_runtime.py',
]

train_dataloader = dict(sampler=dict(_delete_=True, type='ShuffleSampler'))  # no batch is chosen by labels
