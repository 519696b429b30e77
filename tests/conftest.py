"""Settings for all tests."""

import torch

# Test tensors are tiny: a second thread only waits for the first, above all where other processes compete for cores.
torch.set_num_threads(1)
