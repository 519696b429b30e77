"""Evaluation and re-ranking written from their definitions, slowly: loops, sorted lists, sets and float64.

Nothing of mmreid is imported here, neither its tables nor its arithmetic, so that a mistake cannot agree with itself.
"""

import numpy as np

#: What is dropped for a query, from (whether the identity is the query's, whether the camera is, the identity).
DROPPED = {
    'market1501': lambda same_pid, same_camid, pid: pid == -1 or (same_pid and same_camid),
    'nd': lambda same_pid, same_camid, pid: pid == -1 or same_camid,
    'all': lambda same_pid, same_camid, pid: False,
}
DROPPED['cuhk03-np'] = DROPPED['market1501']
DROPPED.update(dict.fromkeys(('cuhk03', 'viper', 'prid2011', 'cuhk01', 'cuhk01-100'), DROPPED['nd']))

#: Single-gallery-shot protocols: trials and identities of a trial (None: all).
DRAWS = {'cuhk03': (10, None), 'viper': (10, 316), 'prid2011': (10, 100), 'cuhk01': (10, 486), 'cuhk01-100': (10, 100)}


def random_case(seed, queries=40, gallery=150, channels=3, ids=12, cameras=3, high=3):
    """Integer features with many equal distances, junk -1, distractors 0, identities that only one camera saw.

    Returns:
        list: Query and gallery features, identities and cameras, in the order in which evaluate_ranking takes them.
    """
    rng = np.random.default_rng(seed)
    feats = [rng.integers(0, high, (rows, channels)).astype(np.float32) for rows in (queries, gallery)]
    pids = [rng.integers(1, ids + 1, queries), rng.integers(-1, ids + 3, gallery)]
    camids = [rng.integers(0, cameras, queries), rng.integers(0, cameras, gallery)]
    for pid in (1, 2):  # camera 0 only: no match wherever images of that camera are dropped
        for split in range(2):
            camids[split][pids[split] == pid] = 0
    camids[0][-1] = cameras  # a camera that no gallery image has
    return [*feats, *pids, *camids]


def square_distances(query_feats, gallery_feats):
    """Squared Euclidean distances in float64, exact for small integers."""
    query, gallery = (np.asarray(feats, dtype=np.float64) for feats in (query_feats, gallery_feats))
    return np.array([[((q - g)**2).sum() for g in gallery] for q in query])


# ---- rankings -----------------------------------------------------------------------------------
def naive_trapezoid_ap(good_flags):
    """AP as the MATLAB evaluation of Market-1501 sums it, down a list of flags without junk."""
    num_good, found, average_precision = sum(good_flags), 0, 0.
    old_recall, old_precision = 0., 1.
    for position, good in enumerate(good_flags):
        found += bool(good)
        recall, precision = found / num_good, found / (position + 1)
        average_precision += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
        if found == num_good:
            break
    return average_precision


def naive_sum_ap(good_flags):
    """Mean over the matches of the precision at each of them."""
    precisions = [sum(good_flags[:position + 1]) / (position + 1) for position, good in enumerate(good_flags) if good]
    return sum(precisions) / len(precisions)


def naive_inp(good_flags):
    """Share of matches in the list down to the hardest match."""
    last = max(position for position, good in enumerate(good_flags) if good)
    return sum(good_flags) / (last + 1)


def kept_rows(row, query, query_pids, gallery_pids, query_camids, gallery_camids, protocol_name):
    """Gallery rows that a query keeps, as a list of (row number, distance, identity)."""
    kept = []
    for index, distance in enumerate(row):
        same_pid = gallery_pids[index] == query_pids[query]
        same_camid = query_camids is not None and gallery_camids[index] == query_camids[query]
        if not DROPPED[protocol_name](same_pid, same_camid, gallery_pids[index]):
            kept.append((index, distance, gallery_pids[index]))
    return kept


def flags_of(kept, pid):
    """Whether each image of the ranking is a match; at equal distance non-matches come first."""
    return [match for _, match in sorted((distance, other == pid) for _, distance, other in kept)]


def naive_evaluation(distances, query_pids, gallery_pids, query_camids, gallery_camids, protocol_name, topk,
                     trapezoid=False, draws=None):
    """What evaluate_ranking returns, going down one sorted list after another.

    ``draws`` replaces the draws of the protocol: a dict with any of num_draws, num_pids, seed, splits.
    """
    labels = [None if values is None else np.asarray(values).tolist()
              for values in (query_pids, gallery_pids, query_camids, gallery_camids)]
    kept = [kept_rows(row, query, *labels, protocol_name) for query, row in enumerate(np.asarray(distances).tolist())]
    if draws is None and protocol_name in DRAWS:
        draws = dict(zip(('num_draws', 'num_pids'), DRAWS[protocol_name]))
    if draws is not None:
        return _drawn_evaluation(kept, labels[0], labels[1], topk, trapezoid, **draws)
    rows = [_query_scores(images, pid, _first_hit(images, pid), topk, trapezoid)
            for images, pid in zip(kept, labels[0]) if any(other == pid for _, _, other in images)]
    scores = {key: 100 * sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    return dict(scores, num_queries=len(kept), num_valid_queries=len(rows))


def _query_scores(images, pid, rank, topk, trapezoid):
    flags = flags_of(images, pid)
    scores = {'mAP': naive_sum_ap(flags)}
    if trapezoid:
        scores['mAP-trapezoid'] = naive_trapezoid_ap(flags)
    return {**scores, 'mINP': naive_inp(flags), **{f'rank-{k}': float(rank <= k) for k in topk}}


def _first_hit(images, pid):
    return flags_of(images, pid).index(True) + 1


def _drawn_evaluation(kept, query_pids, gallery_pids, topk, trapezoid, num_draws=10, num_pids=None, seed=0,
                      splits=None):
    trials, valid = [], set()
    for trial in range(num_draws):
        identities, keys = trial_of(query_pids, gallery_pids, trial, num_pids, seed, splits)
        rows = []
        for query, pid in enumerate(query_pids):
            images = [image for image in kept[query] if image[2] in identities]
            if pid in identities and any(other == pid for _, _, other in images):
                rows.append(_query_scores(images, pid, drawn_rank(images, pid, keys), topk, trapezoid))
                valid.add(query)
        if rows:  # a trial without any valid query does not count
            trials.append({key: 100 * sum(row[key] for row in rows) / len(rows) for key in rows[0]})
    means, stds = {}, {}
    for key in trials[0]:
        values = [trial[key] for trial in trials]
        means[key] = sum(values) / len(trials)
        stds[f'{key}-std'] = (sum((value - means[key])**2 for value in values) / len(trials))**0.5
    return {**means, **stds, 'num_draws': len(trials), 'num_queries': len(query_pids), 'num_valid_queries': len(valid)}


def trial_of(query_pids, gallery_pids, trial, num_pids=None, seed=0, splits=None):
    """Identities of one trial, with those that no query has, and the keys of the gallery rows."""
    rng = np.random.default_rng([seed, trial])
    query_ids = sorted(set(query_pids))
    if splits is not None:
        chosen = splits[trial]
    elif num_pids is None or num_pids >= len(query_ids):
        chosen = query_ids
    else:
        chosen = rng.choice(query_ids, num_pids, replace=False).tolist()
    keys = rng.random(len(gallery_pids)).tolist()
    return set(chosen) | (set(gallery_pids) - set(query_ids)), keys


def drawn_rank(images, pid, keys):
    """Rank of the drawn match among one image of each identity, those with the smallest keys."""
    drawn = {}
    for index, distance, other in images:
        if other not in drawn or keys[index] < drawn[other][0]:
            drawn[other] = (keys[index], distance)
    return 1 + sum(distance <= drawn[pid][1] for other, (_, distance) in drawn.items() if other != pid)


def exact_single_shot_cmc(distances, query_pids, gallery_pids, query_camids, gallery_camids, protocol_name, topk,
                          identities=None):
    """Expectation of the single-gallery-shot CMC over all draws, in percent.

    Given the drawn match, each other identity is ahead with the share of its kept images that are not farther, and
    independently of the others: their number follows a Poisson-binomial distribution. ``identities`` restricts the
    gallery and the queries to those of one trial.
    """
    labels = [np.asarray(values).tolist() for values in (query_pids, gallery_pids, query_camids, gallery_camids)]
    sums, valid = dict.fromkeys(topk, 0.), 0
    for query, row in enumerate(np.asarray(distances).tolist()):
        pid, groups = labels[0][query], {}
        for _, distance, other in kept_rows(row, query, *labels, protocol_name):
            if identities is None or other in identities:
                groups.setdefault(other, []).append(distance)
        matches = groups.pop(pid, [])
        valid += bool(matches)
        for match in matches:
            shares = [sum(distance <= match for distance in group) / len(group) for group in groups.values()]
            ahead = poisson_binomial(shares)
            for k in topk:
                sums[k] += sum(ahead[:k]) / len(matches)
    return {f'rank-{k}': 100 * total / valid for k, total in sums.items()}


def poisson_binomial(shares):
    """Probabilities that 0, 1, 2, ... of independent events happen."""
    probabilities = [1.]
    for share in shares:
        probabilities = [there * share + stay * (1 - share)
                         for there, stay in zip([0., *probabilities], [*probabilities, 0.])]
    return probabilities


# ---- re-ranking ---------------------------------------------------------------------------------
def naive_k_reciprocal(query_feats, gallery_feats, k1, k2, lambda_value, squared_twice=False):
    """k-reciprocal encoding of Zhong et al. (CVPR 2017) with sets and dense float64, shape ``(Q, G)``."""
    feats, count = np.concatenate([np.asarray(query_feats), np.asarray(gallery_feats)]), len(query_feats)
    gallery = range(count, len(feats))
    jaccard, distances = naive_jaccard(feats, k1, k2, squared_twice, rows=range(count), columns=gallery)
    return (1 - lambda_value) * jaccard + lambda_value * distances[:count, count:]


def naive_jaccard(feats, k1, k2, squared_twice=False, rows=None, columns=None):
    """Jaccard distances of all rows, or of some to some, and all distances divided by the largest of their row."""
    total = len(feats)
    distances = square_distances(feats, feats)
    if squared_twice:
        distances = distances**2
    order = [sorted(range(total), key=lambda j, i=i: (j != i, distances[i, j], j)) for i in range(total)]
    largest = distances.max(axis=1, keepdims=True)
    distances = np.divide(distances, largest, out=np.zeros_like(distances), where=largest > 0)

    whole = [_reciprocal(order, i, k1 + 1) for i in range(total)]
    half = [_reciprocal(order, i, int(np.around(k1 / 2)) + 1) for i in range(total)]
    weights = np.zeros((total, total))
    for i in range(total):
        expanded = set(whole[i])
        for candidate in whole[i]:
            if 3 * len(half[candidate] & whole[i]) > 2 * len(half[candidate]):
                expanded |= half[candidate]
        for j in expanded:
            weights[i, j] = np.exp(-distances[i, j])
        weights[i] /= weights[i].sum()
    weights = np.array([np.mean([weights[j] for j in order[i][:k2]], axis=0) for i in range(total)])

    rows, columns = (range(total) if chosen is None else chosen for chosen in (rows, columns))
    shared = np.array([[np.minimum(weights[i], weights[j]).sum() for j in columns] for i in rows])
    return 1 - shared / (2 - shared), distances


def _reciprocal(order, i, count):
    """Images among the nearest ``count`` of image i (itself included) that have it among theirs."""
    return {j for j in order[i][:count] if i in order[j][:count]}
