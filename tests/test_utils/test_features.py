"""Feature matrices: what repeats, what a message names, how products are computed."""

import numpy as np
import pytest
import torch

from mmreid.utils.features import as_float, as_matrix, full_float32_matmul, named_rows, product, repeated_rows


def test_repeated_rows():
    feats = np.array([[1, 2], [2, 1], [1, 2], [3, 4], [1, 2], [2, 1]], dtype=np.float32)
    for values in (feats, feats.astype(np.float64), torch.from_numpy(feats)):
        repeated, first = repeated_rows(values)
        assert repeated.tolist() == [2, 4, 5] and first.tolist() == [0, 0, 1]


def test_full_float32_matmul_restores_the_setting():
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with full_float32_matmul():
            settings = torch.backends.cuda.matmul
            if hasattr(settings, 'fp32_precision'):
                assert settings.fp32_precision == 'ieee'
            else:
                assert settings.allow_tf32 is False
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def test_messages_name_a_few_rows():
    assert named_rows(np.array([True, False, True])) == '2 rows: 0, 2'
    assert named_rows(np.ones(12, bool)) == '12 rows: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...'


def test_memory_maps_are_not_copied(tmp_path):
    mapped = np.memmap(tmp_path / 'feats', np.float32, 'w+', shape=(4, 3))
    assert isinstance(as_matrix(mapped, 'feats'), np.memmap)
    assert np.shares_memory(as_float(mapped), mapped)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_product(dtype):
    x, y = torch.randn(5, 7, dtype=dtype), torch.randn(6, 7, dtype=dtype)
    out = torch.empty(5, 6, dtype=dtype)
    assert product(x, y, out) is out
    torch.testing.assert_close(out, x @ y.T)
