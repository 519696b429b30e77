# ResNet-50 as the student of a frozen teacher (PTL, Eq. 4); the teacher is needed for training only.
_base_ = './resnet50_baseline.py'

model = dict(
    type='DistillationNet',
    teacher=dict(checkpoint=None),  # must be given: --cfg-options model.teacher.checkpoint=FILE
    lambda_l1=0.8)
