"""EmbAE, step 1: the metric embedding on drawn pedestrians and cameras 1-3 of Market-1501."""

_base_ = [
    '../_base_/models/embae_mobilenet_small.py',
    '../_base_/datasets/embae_syntheticcams123.py',
    '../_base_/schedules/embae_embedding_small.py',
    '../_base_/pseudo_label_runtime.py',
]

# In place of ImageNet weights: drawn pedestrians, told apart by a classifier.
load_from = 'work_dirs/baseline/ide_mobilenet_synthetic/epoch_12.pth'
load_parts = ('backbone', )
