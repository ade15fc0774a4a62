"""The linear denoiser that none beats: which frequencies of an image noise leaves to be found.

Without torch, so that a report can draw it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def wiener(frequency: Values, alpha_bar: float) -> tuple[Values, Values]:
    """Return the filters that denoise best among all linear ones: for the image, for its noise.

    For images of power P = 1 / f^2: H = sqrt(alpha_bar) P / (alpha_bar P + 1 - alpha_bar) takes x_t
    to the expected x_0, E = sqrt(1 - alpha_bar) / (alpha_bar P + 1 - alpha_bar) to the expected
    noise, and sqrt(alpha_bar) H + sqrt(1 - alpha_bar) E = 1. With little noise left, H passes high
    frequencies too: that is Spectral Diffusion's Figure 3. The exponent 2 and the constant 1 are
    our reading of two symbols that could not be read.

    Args:
        frequency: above 0, in units of the frequency where an image's power is that of the noise.
        alpha_bar: between 0 and 1, exclusively: x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) n.

    Source:
        Yang et al. (Spectral Diffusion), CVPR 2023, section 3 and Figure 3.
    """
    power = frequency**-2.0
    total = alpha_bar * power + 1 - alpha_bar
    return np.sqrt(alpha_bar) * power / total, np.sqrt(1 - alpha_bar) / total


def half_passed(alpha_bar: float) -> float:
    """Return the frequency of which sqrt(alpha_bar) H keeps half: sqrt(alpha_bar / (1 - that)).

    Args:
        alpha_bar: between 0 and 1, exclusively.
    """
    return float(np.sqrt(alpha_bar / (1 - alpha_bar)))
