"""EmbAE, step 2, on a CPU: 4 epochs."""

_base_ = './embae_autoencoder.py'

param_scheduler = dict(T_max=4)
train_cfg = dict(max_epochs=4, val_interval=4)
