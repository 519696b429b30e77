"""DTL, section 5.2, ImageNet to a large data set in two steps: 20,000 iterations of the new classifiers alone, then
150,000 of everything; SGD, learning rate 0.001 x0.1 every 40,000 iterations.

Not in the paper: momentum 0.9 and weight decay 2e-4, those that GoogLeNet was trained with in Caffe; whether the 40,000
iterations are counted through both steps or anew in each. Here anew: two trainings in Caffe, each with its solver.
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=2e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=False, milestones=[60000, 100000, 140000], gamma=0.1)
train_cfg = dict(by_epoch=False, max_iters=170000, val_interval=10000)
val_cfg = dict()
test_cfg = dict()

# Section 4.1: base network and verification subnet are frozen, also their statistics of batch norm, and only the
# classification losses are on. The auxiliary branches between maps and classifiers are base network (in the neck). Said
# the other way round, it holds for every network and every combination of losses with a classifier.
custom_hooks = [
    dict(type='PhaseHook', by_epoch=False, phases=[
        dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )),
        dict(name='everything', begin=20000)])
]
