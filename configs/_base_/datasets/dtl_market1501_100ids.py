# 100 people of Market-1501's training set, small: a target with few identities. None of them is in
# dtl_market1501_rest.py.
_base_ = './dtl_market1501_small.py'

train_dataloader = dict(dataset=dict(pid_fold=(0, 7), num_pids=100))
