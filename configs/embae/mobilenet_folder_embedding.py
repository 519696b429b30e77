"""EmbAE, step 1: the metric embedding on your own labelled images, data/old_cameras/<identity>/*_c<camera>*.jpg."""

_base_ = [
    '../_base_/models/embae_mobilenet.py',
    '../_base_/datasets/embae_old_cameras.py',
    '../_base_/schedules/embae_embedding_400e.py',
    '../_base_/embae_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=10))
