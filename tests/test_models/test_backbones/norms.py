"""Norms that are not the identity, so that a test sees whether they are used."""

from torch import nn


def unsettle(net: nn.Module) -> nn.Module:
    """Draw weights and statistics of all batch norms; the network comes back in evaluation mode."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return net.eval()
