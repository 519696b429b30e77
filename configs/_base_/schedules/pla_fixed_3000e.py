"""PLA's optimizer with fixed hyper-parameters: Adam 3e-4, beta1 0.9, ten times over 300 epochs (section 4.2).

For 150 epochs nothing changes, then the learning rate falls to a thousandth (Eq. 10) and beta1 is 0.5.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-4, betas=(0.9, 0.999)))
param_scheduler = [
    dict(type='HoldThenDecayLR', hold=150, decay_end=300, factor=0.001, period=300),
    dict(type='HoldThenSwitchMomentum', hold=150, value=0.5, period=300),
]
train_cfg = dict(by_epoch=True, max_epochs=3000, val_interval=300)
val_cfg = dict()
test_cfg = dict()
