"""Settings of the memory allocator."""

import platform
import subprocess
import sys

import pytest

from mmreid.utils.allocator import keep_freed_memory

CODE = """
import sys, resource, numpy
from mmreid.utils.allocator import keep_freed_memory
if int(sys.argv[1]):
    assert keep_freed_memory(1024)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
numpy.ones(4 * 2**20)
before = faults()
for _ in range(20):
    numpy.ones(4 * 2**20)  # 32 MiB
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the settings are those of glibc')
def test_freed_memory_is_used_again():
    """With the C library's defaults each large block is fetched from the kernel anew, page by page."""
    faults = [int(subprocess.run([sys.executable, '-c', CODE, keep], capture_output=True, text=True, check=True).stdout)
              for keep in '01']
    assert faults[1] < faults[0] / 4


@pytest.mark.parametrize('threshold', [0, 2048])
def test_wrong_threshold(threshold):
    with pytest.raises(ValueError, match=f'1..2047, got {threshold}'):
        keep_freed_memory(threshold)
