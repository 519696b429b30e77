"""What a run finds out before its first trial, and that it is the same with the config that it wrote."""

import pytest
from mmengine.config import Config

from mmreid.engine.progressive import SearchSpace

from .toy import SPACE, runner_of


@pytest.mark.parametrize('loop, message', [
    (dict(space=dict(k=dict(SPACE['k'], low=0))), 'does not take k=0, which is low .*at least 1, got 0. Set another'),
    (dict(space=dict(k=dict(SPACE['k'], integer=False))), 'does not take k=1.0, .* set integer=True'),
    (dict(space=dict(loss_weight=dict(SPACE['loss_weight'], low=-1))), 'does not take loss_weight=-1.0, .* negative'),
    (dict(search=dict(type='BayesianSearch', bandwidth=dict(k=.2))),
     'bandwidth by name must have one for each of loss_weight, margin, k, p, got k'),
    (dict(space=dict(k=SPACE['k']), search=dict(type='GridSearch', values=dict(k=[1, 4]))),
     '2 sets and a cycle num_trials=3 trials, .* set num_trials=2, or give 3 sets'),
    (dict(space=dict(k=SPACE['k']), search=dict(type='GridSearch', values=dict(k=[1, 4, 5]))),
     'set 3 of 3 of GridSearch .* from 1 to 4, got 5'),
])
def test_refused_at_the_start(tmp_path, loop, message):
    with pytest.raises(ValueError, match=message):
        runner_of(tmp_path, **{f'loop__{key}': value for key, value in loop.items()}).train()
    assert not (tmp_path / 'pla').exists()


def test_the_written_config_explores_the_same(tmp_path):
    """Writing sorts the keys."""
    written = tmp_path / 'written.py'
    Config(dict(train_cfg=dict(space=SPACE))).dump(written)
    again = Config.fromfile(written).train_cfg.space
    assert list(again) != list(SPACE)
    assert SearchSpace(again).names == SearchSpace(SPACE).names == ('loss_weight', 'margin', 'k', 'p')
    shown = []
    for name, space in dict(own=SPACE, read=again.to_dict()).items():
        runner = runner_of(tmp_path / name, loop__space=dict(**space))
        loop = runner.build_train_loop(runner._train_loop)
        trials = [dict(values=loop.search.suggest(loop.space, [], 0, cycle=cycle), objective=cycle, cycle=9)
                  for cycle in range(4)]
        shown.append([list(trial['values'].items()) for trial in trials])
    assert shown[0] == shown[1]
