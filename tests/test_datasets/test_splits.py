import os
import subprocess
import sys

import pytest

from mmreid.datasets.splits import check_split, draw, draw_shots

from .named_trees import fill

IMAGES = [dict(img_path=f'{pid}_{camid}_{number}.jpg', pid=pid, camid=camid) for pid in range(1, 6)
          for camid in (1, 2) for number in range(4)]


def test_draw_is_pinned():
    """These values must not change: published results depend on them."""
    assert draw(range(1, 9), 4) == [3, 4, 5, 7]
    assert draw(range(1, 9), 4, split_id=1) == [2, 4, 7, 8]
    assert draw(range(1, 9), 4, seed=1) == [1, 2, 5, 6]
    assert draw(range(632), 316)[:6] == [0, 2, 5, 12, 15, 17]


def test_draw_ignores_order_and_repetition():
    assert draw([8, 7, 6, 5, 4, 3, 2, 1, 1, 1], 4) == draw(range(1, 9), 4)
    assert draw('hgfedcba', 4) == draw(set('abcdefgh'), 4)


def test_draws_differ_between_splits_seeds_and_keys():
    drawn = [draw(range(100), 50, seed=seed, split_id=split_id, key=key)
             for seed in range(3) for split_id in range(10) for key in ((), (1, 1), (1, 2))]
    assert len({tuple(half) for half in drawn}) == 90
    assert all(len(set(half)) == 50 and half == sorted(half) for half in drawn)


@pytest.mark.parametrize('number', [0, -1, 9])
def test_draw_of_too_many(number):
    with pytest.raises(ValueError, match=f'cannot draw {number} of 8'):
        draw(range(8), number)


def test_draw_shots_takes_one_of_each_and_does_not_mind_the_others():
    drawn = draw_shots(IMAGES)
    groups = [path.rsplit('_', 1)[0] for path in drawn]
    assert len(drawn) == len(set(groups)) == 10
    assert draw_shots(IMAGES[::-1]) == drawn and draw_shots(IMAGES, split_id=1) != drawn
    assert draw_shots(IMAGES[:16]) == {path for path in drawn if path[0] in '12'}


@pytest.mark.parametrize('split_id, seed, words', [(10, 0, 'split_id must be one of 0 to 9, got 10'), (-1, 0, 'got -1'),
                                                   (0, -1, 'seed must not be negative, got -1')])
def test_check_split(split_id, seed, words):
    with pytest.raises(ValueError, match=f'VIPeR: .*{words}'):
        check_split('VIPeR', split_id, seed, 10)


def test_splits_do_not_depend_on_hashing(tmp_path):
    for view in ('cam_a', 'cam_b'):
        fill(tmp_path / view, [f'{pid:03d}_0.bmp' for pid in range(30)])
    code = ('import sys; from mmreid.datasets.viper import VIPeR\n'
            'for split in ("train", "test"):\n'
            '    data = VIPeR(sys.argv[1], split, split_id=3, check_counts=False)\n'
            '    rows = [data.get_data_info(row) for row in range(len(data))]\n'
            '    print([row["img_path"] for row in rows], data.get_labels().tolist(), file=sys.stderr)\n')
    runs = [subprocess.run([sys.executable, '-c', code, str(tmp_path)], check=True, capture_output=True, text=True,
                           env=dict(os.environ, PYTHONHASHSEED=seed)).stderr for seed in ('1', '2')]
    assert runs[0] == runs[1] and '000_0.bmp' in runs[0]
