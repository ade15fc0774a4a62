"""Translates an image by an exported student: python run_onnx.py model.onnx photo.png out.png.

Needs numpy, Pillow and onnxruntime. Sides have to be multiples of `multiple` in config.json.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

model, photo, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
pixels = np.asarray(Image.open(photo).convert("RGB"), np.float32)
images = (pixels / 127.5 - 1).transpose(2, 0, 1)[None]  # [1, 3, H, W] in [-1, 1]
(made,) = session.run(None, {"image": images})
levels = (made[0].transpose(1, 2, 0) + 1) * 127.5
Image.fromarray(levels.round().clip(0, 255).astype(np.uint8)).save(out)
