"""A miniature of the CUHK03 release: a real HDF5 file with object references, and the files of the 767/700 protocol."""

import cv2
import numpy as np
from scipy.io import savemat

#: Persons seen by each pair of cameras.
PERSONS = (7, 3, 2, 2, 1)
#: Test identities (pair, person) of two splits.
TESTSETS = ([(1, 2), (1, 4), (2, 1)], [(1, 7), (2, 3), (3, 1)])


def numbers(pair, person, box):
    """Images of a person: some cells are empty, and one person has no second view in the labelled boxes."""
    if (box, pair, person) == ('labeled', 3, 2):
        return [1, 2]
    return [1, 2, 6, 7, 10] if person % 2 else [1, 3, 4, 8, 9]


def picture(pair, person, number, box):
    """Smooth RGB picture that tells all four apart; higher than wide."""
    seed = [pair, person, number, box == 'labeled']
    small = np.random.default_rng(seed).integers(0, 256, (4, 2, 3), dtype=np.uint8)
    return cv2.resize(small, (10 + person, 24 + number), interpolation=cv2.INTER_CUBIC)


def names(box):
    """Names of all images."""
    return [f'{pair}_{person:03d}_{1 if number <= 5 else 2}_{number:02d}.png'
            for pair, persons in enumerate(PERSONS, 1) for person in range(1, persons + 1)
            for number in numbers(pair, person, box)]


def write_mat(path, persons=PERSONS, testsets=TESTSETS, drop=(), change=lambda image: image):
    """Write cuhk-03.mat the way MATLAB does: transposed arrays, references, a user block, empty cells as sizes."""
    import h5py
    with h5py.File(path, 'w', userblock_size=512) as file:
        refs = file.create_group('#refs#')

        def store(data, **attributes):
            stored = refs.create_dataset(f'r{len(refs)}', data=data)
            stored.attrs.update(attributes)
            return stored.ref

        def cells(references):
            table = np.array(references, dtype=object)
            stored = np.empty(table.shape, dtype=h5py.ref_dtype)
            stored[...] = table
            return stored

        empty = store(np.zeros(2, dtype=np.uint64), MATLAB_empty=1)
        for box in ('labeled', 'detected'):
            pairs = []
            for pair, count in enumerate(persons, 1):
                table = [[store(change(picture(pair, person, number, box)).transpose(2, 1, 0))
                          if number in numbers(pair, person, box) else empty for person in range(1, count + 1)]
                         for number in range(1, 11)]
                pairs.append(store(cells(table)))
            if box not in drop:
                file.create_dataset(box, data=cells([pairs]))
        sets = [store(np.array(testset, dtype=np.float64).T) for testset in testsets]
        file.create_dataset('testsets', data=cells([sets]))
    with open(path, 'r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file'.ljust(128))
    return path


def write_images(root, box, suffix='.png'):
    """Write the images as the converter does."""
    folder = root / f'images_{box}'
    folder.mkdir(parents=True, exist_ok=True)
    for name in names(box):
        pair, person, _, number = (int(part) for part in name[:-4].split('_'))
        cv2.imencode('.png', picture(pair, person, number, box)[:, :, ::-1])[1].tofile(folder / f'{name[:-4]}{suffix}')


def write_protocol(root, box, **changes):
    """Write the split file of the 767/700 protocol: odd persons are trained on, even ones tested."""
    listed = names(box)
    keys = [tuple(int(part) for part in name[:-4].split('_')) for name in listed]
    people = sorted({key[:2] for key in keys})
    content = dict(camId=[key[2] for key in keys], labels=[1 + people.index(key[:2]) for key in keys],
                   train_idx=[], query_idx=[], gallery_idx=[])
    seen = set()
    for row, key in enumerate(keys, 1):
        part = 'train_idx' if key[1] % 2 else 'gallery_idx' if key[:3] in seen else 'query_idx'
        seen.add(key[:3])
        content[part].append(row)
    content = {name: np.array(values, dtype=np.float64)[:, None] for name, values in content.items()}
    cell = np.empty((len(listed), 1), dtype=object)
    cell[:, 0] = listed
    content['filelist'] = cell
    content.update(changes)
    path = root / f'cuhk03_new_protocol_config_{box}.mat'
    savemat(path, {name: value for name, value in content.items() if value is not None}, do_compression=True)
    return path
