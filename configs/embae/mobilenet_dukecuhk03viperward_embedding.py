"""EmbAE, step 1: the metric embedding on DukeMTMC-reID, CUHK03, VIPeR and WARD; the baseline of Table 2."""

_base_ = [
    '../_base_/models/embae_mobilenet.py',
    '../_base_/datasets/embae_dukecuhk03viperward2market.py',
    '../_base_/schedules/embae_embedding_400e.py',
    '../_base_/embae_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=10))
