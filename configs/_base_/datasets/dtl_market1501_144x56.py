# Market-1501 as in dtl_market1501.py at 144x56 (height x width), the input that DGDNet was made for.
_base_ = './dtl_market1501.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(56, 144)),  # (width, height)
    {{_base_._moved_x}},
    {{_base_._moved_y}},
    dict(type='PackReIDInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(56, 144)),
    dict(type='PackReIDInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
