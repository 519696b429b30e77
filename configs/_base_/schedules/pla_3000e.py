"""PLA, Algorithm 1: 20 epochs with each of 8 sets of hyper-parameters, 300 with the chosen one, ten times.

What a trial is worth: how near the loss falls to 15 % from its first to its second half (Eq. 9).
"""

_base_ = './pla_fixed_3000e.py'

_loss = 'heads.tri.loss_module'
train_cfg = dict(
    _delete_=True,
    type='ProgressiveLearningLoop',
    max_epochs=3000,
    val_interval=300,
    num_trials=8,
    explore_epochs=20,
    exploit_epochs=300,
    expected_drop=0.15,
    search=dict(type='BayesianSearch'),
    space=dict(
        loss_weight=dict(target=f'{_loss}.loss_weight', low=0.0, high=2.0),
        margin=dict(target=f'{_loss}.margin', low=-0.1, high=0.3),
        k=dict(target=f'{_loss}.k', low=1, high=8, integer=True),
        p=dict(target=f'{_loss}.p', low=1, high=16, integer=True)))
