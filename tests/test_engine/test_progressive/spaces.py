"""The space of the paper, and a function on it whose minimum is known."""

from mmreid.engine.progressive import SearchSpace

TARGET = 'heads.tri.loss_module.'


def paper_space():
    """Lambda, m, k and p of the paper."""
    return SearchSpace(dict(
        loss_weight=dict(target=TARGET + 'loss_weight', low=0, high=2),
        margin=dict(target=TARGET + 'margin', low=-.1, high=.3),
        k=dict(target=TARGET + 'k', low=1, high=8, integer=True),
        p=dict(target=TARGET + 'p', low=1, high=16, integer=True)))


def ranks_space(k=8, p=16):
    """Integers only."""
    return SearchSpace(dict(k=dict(target=TARGET + 'k', low=1, high=k, integer=True),
                            p=dict(target=TARGET + 'p', low=1, high=p, integer=True)))


def bowl(values):
    """0 at (1.3, 0.05, 3, 5), growing with the square of the distance in units of the ranges."""
    return (((values['loss_weight'] - 1.3) / 2) ** 2 + ((values['margin'] - .05) / .4) ** 2
            + ((values['k'] - 3) / 7) ** 2 + ((values['p'] - 5) / 15) ** 2)


def observed(*sets, cycle=0, **more):
    """Observations from pairs of values and objective."""
    return [dict(values=values, objective=objective, cycle=cycle, trial=trial, **more)
            for trial, (values, objective) in enumerate(sets)]
