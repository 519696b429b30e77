"""Features for tests of the dictionary."""

import numpy as np


def seen(seed=0, count=40, channels=7, cameras=3):
    """Positive features, and cameras that each have images."""
    rng = np.random.default_rng(seed)
    camids = np.concatenate([np.arange(cameras), rng.integers(0, cameras, count - cameras)]) + 1
    return np.abs(rng.standard_normal((count, channels))) + .3 * camids[:, None], camids


def objective(feats, atoms, codes, graph, weight):
    """Eq. 2 in loops over all ordered pairs."""
    total = ((feats - codes @ atoms)**2).sum()
    dense = graph.toarray()
    for i in range(len(feats)):
        for j in range(len(feats)):
            total += weight * dense[i, j] * ((codes[i] - codes[j])**2).sum()
    return total
