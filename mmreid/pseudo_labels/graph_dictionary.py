"""The second model of co-training: labels by the codes of a graph-regularised dictionary."""

from typing import Optional, Union

import numpy as np
from mmengine.logging import print_log

from mmreid.registry import TASK_UTILS
from mmreid.utils.features import Array

from .base import PseudoLabeller, PseudoLabels
from .cross_camera import anchor_labels, check_anchor, check_cameras, choose_anchor, crowding
from .dictionary import DictionaryFit, cross_camera_graph, fit_dictionary
from .dictionary.graph import check_affinity
from .dictionary.solver import check_settings

#: Lambda where nobody has chosen one.
WEIGHT = .1


@TASK_UTILS.register_module()
class GraphDictionary(PseudoLabeller):
    r"""Each image of one camera is a class; each other image belongs to the class of its nearest image there, measured
    in a subspace in which nearest images of different cameras have been drawn together.

    The subspace model of the co-training of Geng et al., `Deep Transfer Learning for Person Re-identification
    <https://arxiv.org/abs/1611.05244>`_, section 4.2:

    .. math:: \min_{D, Z} \lVert Y - DZ \rVert_F^2 + \lambda \sum_{ij} W_{ij} \lVert z_i - z_j \rVert_2^2
              \quad \text{s.t.} \quad \lVert d_k \rVert_2^2 \le 1

    with W not 0 only for nearest neighbours across cameras (:func:`cross_camera_graph`), solved by
    :func:`fit_dictionary`. Labels follow from the codes z as those of :class:`CrossCameraNeighbours` from the features
    y, and all images are selected. The number of atoms, W's values and lambda are not in the paper;
    ``tools/analysis_tools/choose_dictionary.py`` compares values of lambda.

    In addition to what all labellers log, ``info`` has ``anchor``, ``num_anchor``, ``neighbour_rows`` (as for
    :class:`CrossCameraNeighbours`), ``agreement`` (of the images of the other cameras, the share that have one label by
    y and by z) and ``dictionary``: the objective at first and last, its terms as shares of the squares of the features
    (``error_share`` and ``roughness_share``), ``iterations``, ``converged``, ``num_unused`` and the settings. How
    long it took is in the log alone, so that a training that is done again has the same records.

    Args:
        num_atoms (int): K, the dimensions of the codes, at most the number of images. Defaults to 256.
        weight (float): Lambda, at least 0: a factor on the features does not change what it means.
            Large values make the codes repeat the graph, and with it the labels of the features. Defaults to 0.1.
        neighbours (int): Nearest images that an image is linked to in each other camera. Defaults to 1.
        affinity (str): ``'binary'`` or ``'heat'``, see :func:`cross_camera_graph`. Defaults to ``'binary'``.
        max_iter (int): Largest number of iterations. Defaults to 100.
        tol (float): Share of the objective that the last iteration may take off. Defaults to 1e-4.
        init (str): See :func:`first_atoms`. Defaults to ``'svd'``.
        anchor (str | int): Camera that gives the classes, ``'largest'`` or a number. Defaults to ``'largest'``.
        seed (int, optional): Of what is drawn at the start. Defaults to None: that of the training that calls it, else
            0.
        backend (str): ``'scipy'``, ``'torch'`` or ``'auto'``. Defaults to ``'auto'``: SciPy on the CPU.

    Raises:
        ValueError: If a setting is out of its range; when called, also if images come without cameras or are all of
            one camera, if there are fewer of them than atoms, or if all features are equal or zero.

    Example:
        >>> labeller = dict(type='GraphDictionary', num_atoms=256, weight=0.1)
    """

    def __init__(self,
                 num_atoms: int = 256,
                 weight: float = WEIGHT,
                 neighbours: int = 1,
                 affinity: str = 'binary',
                 max_iter: int = 100,
                 tol: float = 1e-4,
                 init: str = 'svd',
                 anchor: Union[str, int] = 'largest',
                 seed: Optional[int] = None,
                 backend: str = 'auto') -> None:
        check_settings(num_atoms, weight, max_iter, tol, init, seed or 0, backend)
        if isinstance(neighbours, bool) or not isinstance(neighbours, (int, np.integer)) or neighbours < 1:
            raise ValueError(f'neighbours must be an integer of at least 1, got {neighbours!r}')
        self.neighbours, self.affinity, self.anchor = neighbours, check_affinity(affinity), check_anchor(anchor)
        self.num_atoms, self.weight, self.seed, self.backend = num_atoms, weight, seed, backend
        self.max_iter, self.tol, self.init = max_iter, tol, init

    def check_cameras(self, camids: Optional[np.ndarray]) -> None:
        """Refuse images that cannot be labelled because of their cameras; rounds ask before they extract features."""
        check_cameras(camids, type(self).__name__)

    def fit(self, feats: Array, camids: Optional[np.ndarray]) -> DictionaryFit:
        """Learn atoms and codes of images.

        Args:
            feats (np.ndarray | torch.Tensor): Features ``(N, C)``, on the CPU or a CUDA device.
            camids (np.ndarray): Cameras, integers ``(N,)``.
        """
        name = type(self).__name__
        camids = check_cameras(camids, name)
        # Without a second term no graph is needed, but a single camera is a mistake all the same.
        graph = cross_camera_graph(feats, camids, self.neighbours, self.affinity, name) if self.weight else None
        found = fit_dictionary(feats, graph, self.num_atoms, self.weight, max_iter=self.max_iter, tol=self.tol,
                               init=self.init, seed=self.seed or 0, backend=self.backend)
        found.settings.update(neighbours=int(self.neighbours), affinity=self.affinity)
        return found

    def label(self, feats: Array, camids: Optional[np.ndarray]) -> PseudoLabels:
        """Fit, and label by the codes."""
        fit = self.fit(feats, camids)
        print_log(self.course_of(fit), logger='current')
        return self.labels_of(fit, feats, camids)

    def course_of(self, fit: DictionaryFit) -> str:
        """One line on a fit for the log."""
        return (f'{self.describe()}: objective {fit.objective[0]:.6g} -> {fit.objective[-1]:.6g} in {fit.iterations} '
                f'iterations and {fit.seconds:.1f} s, {"converged" if fit.converged else "not converged"}')

    def labels_of(self, fit: DictionaryFit, feats: Array, camids: np.ndarray) -> PseudoLabels:
        """Labels by the codes of a fit on the same images."""
        name = type(self).__name__
        anchor = choose_anchor(camids, self.anchor)
        labels, rows = anchor_labels(fit.codes, camids, anchor, name)
        by_feats, _ = anchor_labels(feats, camids, anchor, name)
        members = np.flatnonzero(np.asarray(camids) == anchor)
        others = np.asarray(camids) != anchor
        numbers = {key: value for key, value in fit.summary().items() if key != 'seconds'}
        info = dict(anchor=anchor, num_anchor=len(members), neighbour_rows=rows,
                    agreement=float((labels == by_feats)[others].mean()), dictionary=numbers,
                    warnings=fit.warnings + crowding(labels, others))
        result = PseudoLabels(labels, np.ones(len(labels), dtype=bool), info, members)
        result.info['num_alone'] = result.info['selected_sizes'].count(1)
        return result

    def describe(self) -> str:
        """Name and settings."""
        return (f'GraphDictionary({self.num_atoms} atoms, weight={self.weight:g}, neighbours={self.neighbours}, '
                f'{self.affinity}, init={self.init}, anchor={self.anchor})')
