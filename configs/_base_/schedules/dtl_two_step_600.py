"""DTL to a few identities on a CPU in two steps of 300 iterations each; learning rate 0.01 without decay."""

_base_ = './dtl_two_step_170k.py'

optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=5e-4))
param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1.0, by_epoch=False)
train_cfg = dict(max_iters=600, val_interval=300)
custom_hooks = [
    dict(type='PhaseHook', by_epoch=False, phases=[
        dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )),
        dict(name='everything', begin=300)])
]
