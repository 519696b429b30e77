"""EmbAE, step 1, on a CPU and from scratch: Adam 1e-3 for 8 epochs, then exponential decay to 1e-5 over 4."""

_base_ = './embae_embedding_400e.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(gamma=1e-2**(1 / 4), begin=8)
train_cfg = dict(max_epochs=12, val_interval=12)
