"""Records of rounds with numbers that are easy to compute."""

THRESHOLDS = [percent / 100 for percent in range(50, 100, 5)]


def record(number, offset=0, metrics=True):
    """The record of a round; ``offset`` tells runs apart."""
    share = (number + offset) / 100
    return dict(
        round=number, fraction=share, num_clusters=100 - number - offset, iterations=10 + number + offset,
        inertia=1000. * (number + offset), cluster_size=dict(min=1, median=5.5 + offset, mean=7., max=40 + number),
        selected_size=dict(min=1, median=2. + offset, mean=3., max=9), warnings=[],
        quality=dict(purity=.5 + share, nmi=.6 + share, pair_precision=.1 + share, pair_recall=.2 + share),
        selection_curve=[[threshold, 1 - threshold * share] for threshold in THRESHOLDS],
        **(dict(metrics={'market1501/mAP': 20. + number + offset, 'market1501/rank-1': 40. + number + offset,
                         'market1501/rank-5': 99.}) if metrics else {}))


def run(rounds, offset=0, before=True):
    """Records of a training that still runs: the last round is not evaluated yet."""
    records = [record(number, offset, metrics=number < rounds) for number in range(1, rounds + 1)]
    if before:
        records[0]['initial_metrics'] = {'market1501/mAP': 15. + offset, 'market1501/rank-1': 30. + offset}
    return records
