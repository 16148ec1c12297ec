"""Writes torchvision_reference.safetensors: what torchvision's functions make of a small image, and where they crop.

    pip install torch==2.11.0 torchvision==0.26.0 safetensors && python torchvision_reference.py

`image` [24, 37, 3] is 8-bit. The others are what torchvision makes of it as a float tensor in [0, 1], named by function and
amount, [height, width, 3]; resized ones with antialiasing and clipped to [0, 1]. `crop` has the mean area (as a fraction), the mean
logarithm of width / height, and the mean left edge as a fraction of the room left for it, of 100,000 draws of
`RandomResizedCrop.get_params` on 300 rows and 400 columns; `crop_wide` of as many on 100 rows and 400 columns, where most draws
don't fit.
"""

from pathlib import Path

import numpy
import torch
from safetensors.numpy import save_file
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as F

HEIGHT, WIDTH = 24, 37
DRAWS = 100_000


def picture():
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x * 11 + y * 3, 255 - y * 13 + x, 128 + 110 * numpy.sin(x / 2 + y / 3)]
    image = numpy.stack([plane % 256 for plane in planes], axis=-1).astype(numpy.uint8)
    image[(x - y) % 7 < 2] //= 3
    image[4:8, 5:11] = 77
    return image


def crops(height, width):
    torch.manual_seed(1)
    image = torch.zeros(3, height, width)
    drawn = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(DRAWS)]
    top, left, rows, columns = numpy.array(drawn, dtype=numpy.float64).T
    room = left[columns < width] / (width - columns[columns < width])
    return numpy.array([(rows * columns).mean() / (height * width), numpy.log(columns / rows).mean(), room.mean()])


def main():
    image = picture()
    planes = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    made = {}
    for factor in (0.6, 1.3):
        made[f"brightness.{factor}"] = F.adjust_brightness(planes, factor)
        made[f"contrast.{factor}"] = F.adjust_contrast(planes, factor)
        made[f"saturation.{factor}"] = F.adjust_saturation(planes, factor)
    for turns in (-0.37, -0.1, 0.08, 0.5):
        made[f"hue.{turns}"] = F.adjust_hue(planes, turns)
    for sigma in (0.1, 0.7, 2.0):
        made[f"gaussian_blur.{sigma}"] = F.gaussian_blur(planes, [23, 23], [sigma, sigma])
    made["solarize"] = F.solarize(planes, 0.5)
    made["grayscale"] = F.rgb_to_grayscale(planes, 3)
    for name, mode in [("bicubic", InterpolationMode.BICUBIC), ("bilinear", InterpolationMode.BILINEAR)]:
        for height, width in [(9, 9), (40, 31), (24, 37), (5, 60)]:
            made[f"{name}.{height}x{width}"] = F.resize(planes, [height, width], mode, antialias=True).clamp(0, 1)
    tensors = {name: numpy.ascontiguousarray(planes.permute(1, 2, 0).numpy()) for name, planes in made.items()}
    tensors |= {"image": image, "crop": crops(300, 400), "crop_wide": crops(100, 400)}
    save_file(tensors, Path(__file__).with_name("torchvision_reference.safetensors"))
    print(tensors["crop"], tensors["crop_wide"])


main()
