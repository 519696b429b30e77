"""EmbAE, step 3, fix, on a CPU: 20 epochs of a small data set at 1e-3, the learning rate of step 2."""

_base_ = './embae_fix.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=20, val_interval=10)
