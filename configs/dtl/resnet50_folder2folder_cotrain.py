"""DTL co-training from your own labelled cameras to other ones without labels, data/new_cameras/*_c<camera>*.jpg.

Three rounds of two steps: classifiers alone, then everything. 20 epochs are a step's 20,000 iterations for 16,000
images.
"""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/new_cameras_pul.py',
    '../_base_/schedules/dtl_rounds.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet50_folder/epoch_40.pth'
train_cfg = dict(max_epochs=120, val_interval=40)
default_hooks = dict(
    pseudo_labels=dict(
        type='CoTrainingHook', labeller=dict(type='GraphDictionary', num_atoms=256), epochs_per_round=40))
custom_hooks = [
    dict(type='PhaseHook', cycle=40, phases=[
        dict(name='classifiers', trainable=('heads.id*', ), heads_on=('id*', )),
        dict(name='everything', begin=20)])
]
# There is nothing to evaluate with.
val_cfg = test_cfg = None
