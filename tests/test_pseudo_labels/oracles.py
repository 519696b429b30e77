"""Clustering, selection and quality from their definitions, slowly: loops, sets, exact integers.

Nothing of mmreid is imported here, so that a mistake cannot agree with itself.
"""

import itertools
import math

import numpy as np


def integer_blobs(seed, rows=60, channels=4, clusters=8, high=40, spread=4, duplicates=0):
    """Small integer features around centres, some rows repeated; all their distances are exact."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(1, high, (clusters, channels))
    feats = centres[rng.integers(0, clusters, rows)] + rng.integers(0, spread + 1, (rows, channels))
    feats[rng.integers(0, rows, duplicates)] = feats[rng.integers(0, rows, duplicates)]
    return feats


# ---- k-means ------------------------------------------------------------------------------------
def squares(feats, centres):
    """Squared distances in float64, one by one."""
    return np.array([[sum((x - c)**2 for x, c in zip(row, centre)) for centre in np.asarray(centres, float).tolist()]
                     for row in np.asarray(feats, float).tolist()])


def lloyd_step(feats, centres):
    """Labels, and centres after one step; a cluster without rows takes the farthest row from its cluster."""
    distances = squares(feats, centres)
    labels = [row.index(min(row)) for row in distances.tolist()]
    members = [[i for i, label in enumerate(labels) if label == k] for k in range(len(centres))]
    empty = [k for k, rows in enumerate(members) if not rows]
    own = [distances[i, label] for i, label in enumerate(labels)]
    far = sorted(range(len(labels)), key=lambda i: (-own[i], i))
    if max(own) > 0:
        for k, i in zip(empty, far):
            members[labels[i]].remove(i)
            members[k] = [i]
    largest = max(range(len(members)), key=lambda k: len(members[k]))
    feats = np.asarray(feats, float)
    return np.array(labels), np.array([feats[rows or members[largest]].mean(axis=0) for rows in members])


def lloyd(feats, centres, max_iter=300):
    """Labels, centres and the number of steps until no label changes."""
    before = None
    for step in range(1, max_iter + 1):
        labels, centres = lloyd_step(feats, centres)
        if before is not None and (labels == before).all():
            return labels, centres, step
        before = labels
    raise AssertionError('no convergence')


def plus_plus(feats, num_clusters, first, draws):
    """k-means++ with the best of some draws, given the draws: the first row, then numbers from 0 to 1 each time."""
    distances, rows = squares(feats, feats), [first]
    for numbers in draws:
        closest = [min(distances[i, row] for row in rows) for i in range(len(feats))]
        candidates = []
        for number in numbers:
            target = number * sum(closest)
            candidates.append(next(i for i, total in enumerate(itertools.accumulate(closest)) if total > target))
        rows.append(min(candidates, key=lambda j: sum(min(c, distances[i, j]) for i, c in enumerate(closest))))
    assert len(rows) == num_clusters
    return rows


# ---- Algorithm 1 of PUL -------------------------------------------------------------------------
def exemplar_of(feats, labels, cluster, candidates):
    """Row nearest to the mean of a cluster, the first of equally near ones, in integers: all is multiplied by the
    number of images in the cluster."""
    feats = [[int(value) for value in row] for row in feats]
    members = [i for i, label in enumerate(labels) if label == cluster]
    sums = [sum(feats[i][c] for i in members) for c in range(len(feats[0]))]
    return min(candidates, key=lambda i: (sum((len(members) * x - s)**2 for x, s in zip(feats[i], sums)), i))


def cosine(x, y):
    """Inner product of two vectors scaled to length 1; 0 for a vector of zeros."""
    lengths = math.sqrt(sum(int(value)**2 for value in x)) * math.sqrt(sum(int(value)**2 for value in y))
    return sum(int(a) * int(b) for a, b in zip(x, y)) / lengths if lengths else 0.


def algorithm_1(feats, labels, threshold, exemplar='own'):
    """Lines 5 to 16 with i over the images of each cluster (section III-B), and the constraint of Eq. 2.

    Returns the selected rows, the exemplar of each cluster, and the similarities by row.
    """
    selected, exemplars, similarities = set(), {}, {}
    for k in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == k]
        exemplars[k] = exemplar_of(feats, labels, k, members if exemplar == 'own' else range(len(feats)))
        for i in members:
            similarities[i] = cosine(feats[i], feats[exemplars[k]])
            if similarities[i] > threshold or i == exemplars[k]:
                selected.add(i)
        if not selected & set(members):
            selected.add(exemplar_of(feats, labels, k, members))
    return selected, exemplars, similarities


def algorithm_1_any(feats, labels, threshold, exemplar='own'):
    """The same with i over all images, and once selected always selected: the reading of the released code."""
    selected, exemplars, similarities = set(), {}, dict.fromkeys(range(len(feats)), -math.inf)
    for k in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == k]
        exemplars[k] = exemplar_of(feats, labels, k, members if exemplar == 'own' else range(len(feats)))
        for i in range(len(feats)):
            similarities[i] = max(similarities[i], cosine(feats[i], feats[exemplars[k]]))
            if similarities[i] > threshold or i == exemplars[k]:
                selected.add(i)
    for k in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == k]
        if not selected & set(members):
            selected.add(exemplar_of(feats, labels, k, members))
    return selected, exemplars, similarities


def algorithm_1_literal(feats, labels, threshold):
    """Lines 7 to 16 to the letter: each pass of the outer loop overwrites all indicators."""
    indicators = {}
    for k in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == k]
        centre = exemplar_of(feats, labels, k, members)
        for i in range(len(feats)):
            indicators[i] = cosine(feats[i], feats[centre]) > threshold
    return {i for i, chosen in indicators.items() if chosen}


# ---- DBSCAN -------------------------------------------------------------------------------------
def dbscan(distances, eps, min_samples):
    """Labels by growing each cluster from its first core; -1 is noise."""
    count = len(distances)
    near = [[j for j in range(count) if distances[i][j] <= eps or i == j] for i in range(count)]
    cores = {i for i in range(count) if len(near[i]) >= min_samples}
    labels, cluster = [-1] * count, 0
    for first in sorted(cores):
        if labels[first] >= 0:
            continue
        group, waiting = {first}, [first]
        while waiting:
            i = waiting.pop()
            for j in near[i] if i in cores else []:
                if j not in group and labels[j] < 0:
                    group.add(j)
                    waiting.append(j)
        for i in group:
            labels[i] = cluster
        cluster += 1
    return labels


# ---- quality ------------------------------------------------------------------------------------
def quality(labels, mask, pids):
    """Purity, NMI and pairwise scores by counting images and pairs."""
    rows = [i for i in range(len(labels)) if mask[i] and pids[i] >= 0]
    people, classes = {pids[i] for i in rows}, {labels[i] for i in rows}
    best = sum(max(sum(labels[i] == k and pids[i] == p for i in rows) for p in people) for k in classes)
    together = [(labels[i] == labels[j], pids[i] == pids[j]) for i, j in itertools.combinations(rows, 2)]
    both = sum(label and pid for label, pid in together)
    precision, recall = both / sum(label for label, _ in together), both / sum(pid for _, pid in together)
    known = {pid for pid in pids if pid >= 0}
    return dict(purity=best / len(rows), nmi=_nmi([labels[i] for i in rows], [pids[i] for i in rows]),
                pair_precision=precision, pair_recall=recall,
                pair_f=2 * precision * recall / (precision + recall) if both else 0.,
                pid_coverage=len(people) / len(known), num_judged=len(rows),
                num_junk=sum(bool(m) and p < 0 for m, p in zip(mask, pids)), num_pids=len(people),
                num_clusters=len(classes))


def _nmi(x, y):
    n, information = len(x), 0.
    for a, b in set(zip(x, y)):
        joint = sum((p, q) == (a, b) for p, q in zip(x, y)) / n
        information += joint * math.log(joint / (x.count(a) / n * (y.count(b) / n)))
    entropies = [-sum(v.count(a) / n * math.log(v.count(a) / n) for a in set(v)) for v in (x, y)]
    return information / (sum(entropies) / 2)
