"""EmbAE, step 3, new and cam, on a CPU: 10 epochs for fresh nuisance encoders, 20 as fix, all at 1e-3."""

_base_ = './embae_new.py'

param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1.0)
train_cfg = dict(max_epochs=30, val_interval=10)
