"""PLA on a CPU: 2 epochs with each of 4 sets of hyper-parameters, 6 with the chosen one, three times.

k and p go up to the images and the identities of a batch, as in the paper.
"""

_base_ = './pla_fixed_small.py'

_loss = 'heads.tri.loss_module'
train_cfg = dict(
    _delete_=True,
    type='ProgressiveLearningLoop',
    max_epochs=18,
    val_interval=18,
    num_trials=4,
    explore_epochs=2,
    exploit_epochs=6,
    expected_drop=0.15,
    search=dict(type='BayesianSearch'),
    space=dict(
        loss_weight=dict(target=f'{_loss}.loss_weight', low=0.0, high=2.0),
        margin=dict(target=f'{_loss}.margin', low=-0.1, high=0.3),
        k=dict(target=f'{_loss}.k', low=1, high=4, integer=True),
        p=dict(target=f'{_loss}.p', low=1, high=8, integer=True)))
