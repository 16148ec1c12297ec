"""Writes pillow_reference.safetensors: what Pillow makes of small images, operation by operation.

    pip install pillow==13.0.0 numpy safetensors && python pillow_reference.py

`picture` [24, 37, 3] and `pale` [20, 23, 3], of few values, are 8-bit, and so is everything else: `IMAGE.OPERATION.AMOUNT`, warps
with `.bilinear` or `.bicubic` behind it. Amounts are those that RandAugment gives to Pillow's functions; what warps leave uncovered
is filled with (124, 116, 104).
"""

from pathlib import Path

import numpy
from PIL import Image, ImageEnhance, ImageOps
from safetensors.numpy import save_file

FILL = (124, 116, 104)
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def picture():
    y, x = numpy.mgrid[0:24, 0:37]
    planes = [x * 11 + y * 3, 255 - y * 13 + x, 128 + 110 * numpy.sin(x / 2 + y / 3)]
    image = numpy.stack([plane % 256 for plane in planes], axis=-1).astype(numpy.uint8)
    image[(x - y) % 7 < 2] //= 3
    image[4:8, 5:11] = 77
    return image


def pale():
    y, x = numpy.mgrid[0:20, 0:23]
    planes = [60 + (x * y) % 5 * 20, 101 + (x + y) % 3, 200 + 0 * x]
    return numpy.stack(planes, axis=-1).astype(numpy.uint8)


def solarize_add(image, add):
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * 3)


def affine(image, matrix, resampling):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=resampling, fillcolor=FILL)


def operations(image):
    width, height = image.size
    yield "auto_contrast", ImageOps.autocontrast(image)
    yield "equalize", ImageOps.equalize(image)
    yield "invert", ImageOps.invert(image)
    for bits in (1, 3, 4):
        yield f"posterize.{bits}", ImageOps.posterize(image, bits)
    for threshold in (0, 100, 243, 256):
        yield f"solarize.{threshold}", ImageOps.solarize(image, threshold)
    for add in (0, 57, 110):
        yield f"solarize_add.{add}", solarize_add(image, add)
    for factor in (0.1, 0.73, 1.0, 1.9):
        yield f"color.{factor}", ImageEnhance.Color(image).enhance(factor)
        yield f"contrast.{factor}", ImageEnhance.Contrast(image).enhance(factor)
        yield f"brightness.{factor}", ImageEnhance.Brightness(image).enhance(factor)
        yield f"sharpness.{factor}", ImageEnhance.Sharpness(image).enhance(factor)
    for name, resampling in RESAMPLING.items():
        for degrees in (-30.0, -7.25, 0.0, 21.5):
            turned = image.rotate(degrees, resample=resampling, fillcolor=FILL)
            yield f"rotate.{degrees:g}.{name}", turned
        for factor in (-0.3, 0.17):
            yield f"shear_x.{factor:g}.{name}", affine(image, (1, factor, 0, 0, 1, 0), resampling)
            yield f"shear_y.{factor:g}.{name}", affine(image, (1, 0, 0, factor, 1, 0), resampling)
        for part in (-0.45, 0.23):
            yield f"translate_x.{part:g}.{name}", affine(image, (1, 0, part * width, 0, 1, 0), resampling)
            yield f"translate_y.{part:g}.{name}", affine(image, (1, 0, 0, 0, 1, part * height), resampling)


def main():
    tensors = {}
    for name, pixels in (("picture", picture()), ("pale", pale())):
        tensors[name] = pixels
        for operation, made in operations(Image.fromarray(pixels)):
            tensors[f"{name}.{operation}"] = numpy.asarray(made).copy()
    save_file(tensors, Path(__file__).with_name("pillow_reference.safetensors"))


main()
