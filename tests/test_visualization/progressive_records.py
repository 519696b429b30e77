"""The record of a training with searched hyper-parameters, with numbers that are easy to compute."""

import json

SPACE = dict(margin=dict(target='a.margin', low=-.1, high=.3), k=dict(target='a.k', low=1, high=8, integer=True),
             p=dict(target='a.p', low=1, high=16, integer=True))
SETS = [dict(margin=-.1, k=1, p=1), dict(margin=.1, k=8, p=4), dict(margin=.3, k=4, p=16)]


def trial(cycle, number, objective, **more):
    """A line of trials.jsonl; a failed trial has null."""
    return dict(cycle=cycle, trial=number, values=SETS[number - 1], losses=[4. + number, 3. + number],
                objective=objective, note='' if objective is not None else 'the loss became NaN', seconds=2. * number,
                epoch=10 * (cycle - 1), iter=0, weights='ab', **more)


def cycle(number, chosen, **more):
    """A line of cycles.jsonl."""
    return dict(cycle=number, values=chosen, expected_improvement=.05 * number, epoch_begin=10 * (number - 1),
                epoch_end=10 * number, lowest_loss=1 / number, lowest_epoch=10 * number - 1, **more)


def run():
    """Two cycles and two trials of a third; the second is in exploitation."""
    trials = [trial(1, 1, .5), trial(1, 2, .2), trial(1, 3, .4),
              trial(2, 1, .3), trial(2, 2, None), trial(2, 3, .1), trial(3, 1, .6, processes=2),
              trial(3, 2, .7, processes=2)]
    cycles = [cycle(1, dict(margin=.05, k=6, p=8), explore_seconds=12., exploit_seconds=28.),
              cycle(2, dict(margin=.2, k=2, p=3), explore_seconds=13., exploit_seconds=27.)]
    return trials, cycles


def write(folder, trials, cycles, config=None):
    """Write a work directory."""
    (folder / 'pla').mkdir(parents=True)
    for name, lines in (('trials', trials), ('cycles', cycles)):
        if lines:
            (folder / 'pla' / f'{name}.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    if config is not None:
        (folder / 'config.py').write_text(f'train_cfg = {config!r}\n')
    return folder
