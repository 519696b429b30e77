"""Atoms for given codes: least squares with the length of each atom bounded, by Newton's method on the dual."""

import torch

#: Largest number of Newton steps, and the excess of a squared length at which they stop.
MAX_STEPS, ACCURACY = 40, 1e-10
#: An atom whose codes have no more than this share of the squares of those of the most used atom is not used.
UNUSED = 1e-24
#: Passes over all atoms where Newton's method did not finish.
MAX_SWEEPS = 50


def solve_atoms(products: torch.Tensor, squares: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    r"""Best atoms for given codes, Eq. 2 with the codes fixed: :math:`\min_D \lVert Y - DZ \rVert_F^2` with
    :math:`\lVert d_k \rVert^2 \le 1`.

    The dual of Lee et al., *Efficient sparse coding algorithms*, NIPS 2006: :math:`D^\top = (Z Z^\top +
    \Lambda)^{-1} Z Y^\top` with a multiplier for each atom, none of them negative; projected Newton steps with a line
    search. The bound is met exactly. Of atoms that no image uses (codes all 0) the result does not depend, and they
    stay as they are. The result is never worse than the start.

    Args:
        products (torch.Tensor): :math:`Z Y^\top`, float64 ``(K, C)``.
        squares (torch.Tensor): :math:`Z Z^\top`, float64 ``(K, K)``.
        start (torch.Tensor): Atoms ``(K, C)`` that meet the bound.

    Returns:
        torch.Tensor: Atoms ``(K, C)``.
    """
    usage = squares.diagonal()
    used = (usage > UNUSED * usage.max()).nonzero()[:, 0]
    if not len(used):
        return start.clone()
    inner, outer = squares[used][:, used], products[used]
    found, exact = _newton(outer, inner)
    found = bounded(found)
    if not exact:
        found = _sweeps(outer, inner, found)
    result = start.clone()
    result[used] = found
    return result if _misfit(result, products, squares) <= _misfit(start, products, squares) else start.clone()


def _newton(products: torch.Tensor, squares: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Atoms, and whether the multipliers are those of the optimum."""
    jitter = 1e-14 * float(squares.diagonal().max())
    # Right where the codes of different atoms have nothing in common.
    multipliers = (products.norm(dim=1) - squares.diagonal()).clamp(min=jitter)

    def at(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
        factor, slack = None, jitter
        while factor is None:
            factor, failed = torch.linalg.cholesky_ex(squares + torch.diag(values + slack))
            if int(failed):
                factor, slack = None, 10 * slack
        atoms = torch.cholesky_solve(products, factor)
        return factor, atoms, float((products * atoms).sum() + values.sum())

    factor, atoms, value = at(multipliers)
    excess = atoms.square().sum(1) - 1  # the slope of the dual
    for _ in range(MAX_STEPS):
        free = (multipliers > 0) | (excess > 0)
        if not free.any() or float(excess[free].abs().max()) <= ACCURACY:
            return atoms, True
        curvature = 2 * ((atoms @ atoms.T) * torch.cholesky_inverse(factor))[free][:, free]
        curvature.diagonal().add_(1e-14 * curvature.diagonal().max())
        step = torch.zeros_like(multipliers)
        step[free] = torch.linalg.solve(curvature, excess[free])
        length, found = 1., None
        while found is None and length > 1e-3 and step.isfinite().all():
            tried = (multipliers + length * step).clamp(min=0)
            new = at(tried)
            if new[2] <= value - 1e-4 * float((excess * (tried - multipliers)).sum()) + 1e-15 * abs(value):
                found = tried
            length /= 4
        if found is None:
            break
        multipliers, (factor, atoms, value) = found, new
        excess = atoms.square().sum(1) - 1
    return atoms, False


def _sweeps(products: torch.Tensor, squares: torch.Tensor, atoms: torch.Tensor) -> torch.Tensor:
    """Each atom in turn to its best place, the others fixed, until none moves."""
    usage = squares.diagonal()
    for _ in range(MAX_SWEEPS):
        before = atoms.clone()
        for k in range(len(atoms)):
            target = atoms[k] + (products[k] - squares[k] @ atoms) / usage[k]
            atoms[k] = target / target.norm().clamp(min=1)
        if float((atoms - before).abs().max()) < 1e-12:
            break
    return atoms


def bounded(atoms: torch.Tensor) -> torch.Tensor:
    """Atoms at most 1 long, to the last bit."""
    atoms = atoms / atoms.norm(dim=1, keepdim=True).clamp(min=1)
    return torch.where(atoms.square().sum(1, keepdim=True) > 1, atoms * (1 - 1e-15), atoms)


def _misfit(atoms: torch.Tensor, products: torch.Tensor, squares: torch.Tensor) -> float:
    """The squared error but for that of the features alone."""
    return float(((squares @ atoms - 2 * products) * atoms).sum())
