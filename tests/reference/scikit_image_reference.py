"""Writes scikit_image_reference.safetensors: colours in the spaces of scikit-image.

    pip install scikit-image==0.26.0 numpy safetensors && python scikit_image_reference.py

`rgb` [729, 3] is 8-bit, with values on both sides of where the curves of sRGB and of Lab bend. `lab` and `ydbdr` are those colours, float32.
"""

from pathlib import Path

import numpy
from safetensors.numpy import save_file
from skimage import color

levels = numpy.array([0, 5, 10, 11, 64, 128, 191, 250, 255], dtype=numpy.uint8)
rgb = numpy.stack(numpy.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
tensors = {"rgb": rgb}
for name, convert in (("lab", color.rgb2lab), ("ydbdr", color.rgb2ydbdr)):
    tensors[name] = convert(rgb[None]).reshape(-1, 3).astype(numpy.float32)
save_file(tensors, Path(__file__).with_name("scikit_image_reference.safetensors"))
