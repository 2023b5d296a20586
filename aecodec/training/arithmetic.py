"""Which numbers a device multiplies fast."""

from __future__ import annotations

import torch


def multiplies_bfloat16(device: torch.device) -> bool:
    """False of CPUs without AVX-512 or Arm's bf16: there bfloat16 takes 10 to 60 times as long as float32."""
    if device.type != "cpu":
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
