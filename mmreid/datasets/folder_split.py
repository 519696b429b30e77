"""Divide images by a seeded rule into training, queries and gallery."""

from collections.abc import Sequence

from .annotation_file import Annotation
from .splits import draw


def draw_parts(images: Sequence[Annotation], pids: Sequence[int], test_pid_fraction: float, seed: int) -> list[str]:
    """Part of each image: ``'train'``, ``'query'`` or ``'gallery'``.

    ``round(test_pid_fraction * N)`` of the N identities are drawn for the test; where the fraction is neither 0 nor 1,
    at least one stays on each side. Of a test identity, one drawn image of each camera is a query and the others are
    gallery. So that every query has a match in the gallery from another camera (without cameras: another image):

    * a camera with one image gives it to the gallery; if all have only one, that of the first camera is the query;
    * an identity that only one camera has seen (without cameras: with one image) is gallery as a whole.

    Junk (-1) is gallery. The draw depends on the numbers, the cameras and the paths alone, so it is the same on every
    machine; the query of an identity does not depend on the others.

    Args:
        images (Sequence[Annotation]): All images. ``camid`` None: no cameras are known.
        pids (Sequence[int]): Their identities.
        test_pid_fraction (float): Share of the identities for the test, from 0 to 1.
        seed (int): Seed, not negative.
    """
    identities = sorted(set(pids) - {-1})
    number = round(test_pid_fraction * len(identities))
    if 0 < test_pid_fraction < 1:
        number = min(max(number, 1), len(identities) - 1)
    test = set(draw(identities, number, seed=seed)) if number > 0 else set()
    by_camera: dict[int, dict[int | None, list[str]]] = {pid: {} for pid in test}
    for image, pid in zip(images, pids, strict=True):
        if pid in test:
            by_camera[pid].setdefault(image.camid, []).append(image.path)
    queries = {path for pid in sorted(test) for path in _queries(pid, by_camera[pid], seed)}
    return ['query' if image.path in queries else 'gallery' if pid in test or pid == -1 and test else 'train'
            for image, pid in zip(images, pids, strict=True)]


def _queries(pid: int, cameras: dict[int | None, list[str]], seed: int) -> list[str]:
    if None in cameras:
        return draw(cameras[None], 1, seed=seed, key=(pid, )) if len(cameras[None]) > 1 else []
    if len(cameras) == 1:
        return []
    several = [camid for camid, paths in sorted(cameras.items()) if len(paths) > 1] or [min(cameras)]
    return [path for camid in several for path in draw(cameras[camid], 1, seed=seed, key=(pid, camid))]
