# Six of seven parts of Market-1501's training identities, 643 people, small: the rest is a small data set of its own
# (dtl_market1501_100ids.py).
_base_ = './dtl_market1501_small.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MergedReIDDataset',
        datasets=[dict(type='Market1501', data_root='data/Market-1501-v15.09.15', pid_fold=(part, 7), cache=True)
                  for part in range(1, 7)],
        pipeline={{_base_.train_pipeline}}))
