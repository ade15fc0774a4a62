"""How test outputs may be made, where a task leaves it to the suite's `outputs`."""

from __future__ import annotations

EVAL, BATCH_STATISTICS, AS_TRAINED = MODES = (
    "eval",
    "batch statistics",
    "batch statistics and dropout",
)
"""In which mode a network makes them. The second gives batch norms the statistics of the one image
that is made; the third leaves dropout live as well, with draws that are seeded image by image. The
last is Pix2Pix's own test (Isola et al., CVPR 2017, section 3.2)."""

ROUNDED, TRUNCATED = ROUNDINGS = ("rounded", "truncated")
"""How they get the 8 bits of an image file. The second is what the code of CycleGAN and Pix2Pix, of
GAN Compression and of all that descend from them does (`tensor2im`)."""
