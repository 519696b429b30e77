"""DTL's second step alone, 150,000 iterations of everything: where there is no classifier, or nothing learnt to
protect."""

_base_ = './dtl_two_step_170k.py'

param_scheduler = dict(milestones=[40000, 80000, 120000])
train_cfg = dict(max_iters=150000)
custom_hooks = []
