"""Check that a device can compute."""

from __future__ import annotations

import torch

from emoembed.errors import InputError


def check_device(device: str) -> None:
    """Raise InputError if torch cannot compute on a device."""
    if not isinstance(device, str | torch.device):
        raise InputError(f"device must be a name such as 'cpu' or 'cuda'; given {device!r:.40}")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {device!r} cannot be used here: {error}") from error
