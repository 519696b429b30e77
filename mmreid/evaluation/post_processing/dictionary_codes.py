"""Codes of a dictionary in the place of features."""

from typing import Optional

import numpy as np
import torch

from mmreid.evaluation.retrieval_data import RetrievalData
from mmreid.pseudo_labels.dictionary import Dictionary, codes_of, cross_camera_graph, read_dictionary
from mmreid.pseudo_labels.dictionary.out_of_sample import check_width
from mmreid.registry import TASK_UTILS

from .base import PostProcessor


@TASK_UTILS.register_module()
class DictionaryCodes(PostProcessor):
    """Put the codes z of a dictionary in the place of the features y: the subspace model of DTL, tested by itself.

    The dictionary was fitted on training images without labels (:class:`~mmreid.pseudo_labels.GraphDictionary`). A
    code is a linear map of the feature (:func:`~mmreid.pseudo_labels.codes_of`), so it does not depend on the other
    images of the test set. With ``graph=True`` it does: the images of the test set, over all its splits, are linked to
    their nearest ones in other cameras and Eq. 2 is solved for all of them together, with the weight and the graph's
    settings of the training. That is transductive; say so with the result. The metric stays that of the evaluator;
    :class:`L2Normalize` behind this step scales codes to length 1.

    Args:
        file (str): ``dictionary_round_N.npz`` in the work directory of a ``CoTrainingHook``, or what
            :func:`~mmreid.pseudo_labels.save_dictionary` writes.
        graph (bool): Whether test images are linked. Defaults to False.

    Raises:
        FileNotFoundError: When called, if there is no such file.
        ValueError: If it is no dictionary, or for features of another width, or cameras or the settings of the graph
            are needed and not known.

    Example:
        >>> test_evaluator = dict(type='ReIDMetric', post_processors=[
        ...     dict(type='DictionaryCodes', file='work_dirs/run/dictionary_round_3.npz')])
    """

    def __init__(self, file: str, graph: bool = False) -> None:
        if not str(file).endswith('.npz'):
            raise ValueError(f'file must be a dictionary *.npz, got {file!r}')
        self.file, self.graph = str(file), bool(graph)
        self._size: Optional[int] = None

    def __call__(self, data: RetrievalData) -> RetrievalData:
        """Codes of queries, gallery and multi-query images."""
        self._need_feats(data)
        dictionary = read_dictionary(self.file)
        check_width(dictionary.atoms, data.gallery.feats, self.file)
        self._size = len(dictionary.atoms)
        if self.graph:
            return self._linked(data, dictionary)
        weight, degree = (dictionary.settings.get(name, 0.) for name in ('weight', 'degree'))
        return data.map_feats(lambda feats: codes_of(dictionary.atoms, feats, weight=weight, degree=degree))

    def _linked(self, data: RetrievalData, dictionary: Dictionary) -> RetrievalData:
        splits = data.splits()
        if any(split.camids is None for split in splits.values()):
            raise ValueError('DictionaryCodes(graph=True) links images of different cameras, and the cameras of these '
                             'images are not known: set graph=False')
        feats = torch.cat([split.feats for split in splits.values()])
        camids = np.concatenate([split.camids.numpy() for split in splits.values()])
        settings = dictionary.settings
        missing = [name for name in ('neighbours', 'affinity', 'weight') if name not in settings]
        if missing:
            raise ValueError(f'DictionaryCodes(graph=True) links images as in the training, and {self.file} does not '
                             f'say {" and ".join(missing)}: it was fitted by fit_dictionary alone, not by '
                             'GraphDictionary; set graph=False, or fit it with GraphDictionary')
        graph = cross_camera_graph(feats, camids, settings['neighbours'], settings['affinity'], 'DictionaryCodes')
        codes = iter(codes_of(dictionary.atoms, feats, graph, settings['weight']).split(
            [len(split) for split in splits.values()]))
        return data.map_feats(lambda _: next(codes))

    def describe(self) -> str:
        """Size and file."""
        size = '' if self._size is None else f'{self._size} atoms, '
        return f'DictionaryCodes({size}{self.file}{", with a graph over the test images" if self.graph else ""})'
