"""Dictionaries on disk."""

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import GraphDictionary, read_dictionary, save_dictionary

from .data import seen


@pytest.fixture(scope='module')
def fit():
    return GraphDictionary(4, .5, affinity='heat', max_iter=5).fit(*seen(0))


def test_what_is_written_is_read(tmp_path, fit):
    path = tmp_path / 'new' / 'dictionary_round_1.npz'
    save_dictionary(fit, path)
    read = read_dictionary(str(path))
    assert (read.atoms == fit.atoms).all() and read.num_channels == 7
    assert read.settings == fit.settings and read.settings['affinity'] == 'heat' and read.settings['weight'] == .5
    assert read.summary['objective'] == fit.objective[-1] and read.summary['iterations'] == fit.iterations
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    with np.load(path, allow_pickle=False) as file:  # no Python objects
        assert file['objective'].tolist() == fit.objective and int(file['channels']) == 7
    tensors = GraphDictionary(4, .5, affinity='heat', max_iter=5).fit(torch.from_numpy(seen(0)[0]), seen(0)[1])
    save_dictionary(tensors, path)
    assert np.allclose(read_dictionary(path).atoms, fit.atoms)


def test_what_is_no_dictionary(tmp_path, fit):
    with pytest.raises(FileNotFoundError, match='there is no dictionary'):
        read_dictionary(tmp_path / 'none.npz')
    with pytest.raises(ValueError, match=r'goes to a file \*.npz'):
        save_dictionary(fit, tmp_path / 'd.pth')
    path = tmp_path / 'd.npz'
    path.write_bytes(b'nothing')
    with pytest.raises(ValueError, match='no archive of arrays'):
        read_dictionary(path)
    np.savez(path, train_feats=np.ones((2, 3)))
    with pytest.raises(ValueError, match='it is no dictionary .*atoms'):
        read_dictionary(path)
    save_dictionary(fit, path)
    with np.load(path) as file:
        arrays = dict(file)
    for changes, message in ((dict(atoms=3 * arrays['atoms']), 'longer than 1'), (dict(channels=6), r'shape \(K, 6\)'),
                             (dict(atoms=np.full((4, 7), np.nan)), 'not finite'), (dict(kind='cake'), 'cake'),
                             (dict(settings='{'), 'cannot be read as a dictionary'),
                             (dict(atoms=np.array([dict()], dtype=object)), 'cannot be read as a dictionary')):
        np.savez(path, **{**arrays, **changes})
        with pytest.raises(ValueError, match=message):
            read_dictionary(path)
    save_dictionary(fit, path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match='cannot be read as a dictionary'):
        read_dictionary(path)
