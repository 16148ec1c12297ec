"""Makes 600 JPEG files of ImageNet's shape from photographs that ship with scikit-learn and scikit-image.

    python photographs.py FOLDER

Sizes, weight (105 KB, 0.23 megapixels on average), 4:2:0 sampling and high quality are those of ImageNet's training images.
Seeded: the same versions of the packages give the same files. Prints what it made.
"""

import io
import random
import sys
from pathlib import Path

import numpy
import skimage
import sklearn
from PIL import Image, ImageEnhance, ImageOps

COUNT = 600
SEED = 20240611
# Photographs, by how often they are taken.
SKLEARN = {"china.jpg": 6, "flower.jpg": 3}
SKIMAGE = {
    "astronaut.png": 4,
    "coffee.png": 4,
    "chelsea.png": 4,
    "rocket.jpg": 2,
    "motorcycle_left.png": 5,
    "motorcycle_right.png": 4,
    "ihc.png": 1,
    "hubble_deep_field.jpg": 1,
    "gravel.png": 1,
    "grass.png": 1,
    "brick.png": 1,
    "retina.jpg": 1,
}
# Sizes, by how often they occur; None is a small one.
SIZES = {
    (500, 375): 44,
    (500, 333): 18,
    (375, 500): 13,
    (333, 500): 5,
    None: 14,
    (1024, 768): 4,
    (1280, 960): 1,
    (1600, 1200): 1,
}
QUALITIES = [92, 94, 95, 95, 96, 96]


def sources():
    folders = [(Path(sklearn.__file__).parent / "datasets/images", SKLEARN), (Path(skimage.__file__).parent / "data", SKIMAGE)]
    paths = [(folder / name, weight) for folder, names in folders for name, weight in names.items()]
    return [Image.open(path).convert("RGB") for path, _ in paths], [weight for _, weight in paths]


def cut(image, width, height, draw):
    """A part of the image of the given size's shape, most of it, at a random place, resized."""
    ratio = width / height
    box_width = min(image.width, image.height * ratio) * draw.uniform(0.65, 1.0)
    box_height = box_width / ratio
    left, top = draw.uniform(0, image.width - box_width), draw.uniform(0, image.height - box_height)
    return image.resize((width, height), Image.BICUBIC, box=(left, top, left + box_width, top + box_height))


def photograph(images, weights, draw, noise):
    image = draw.choices(images, weights)[0]
    size = draw.choices(list(SIZES), list(SIZES.values()))[0] or (draw.randint(200, 500), draw.randint(160, 500))
    image = cut(image, *size, draw)
    if draw.random() < 0.5:
        image = ImageOps.mirror(image)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(draw.uniform(0.8, 1.25))
    # A sensor's noise, which resizing took out: without it files would be too light.
    sigma = draw.uniform(2.0, 6.5) if max(size) <= 500 else draw.uniform(0.5, 3.0)
    pixels = numpy.asarray(image).astype(numpy.float32)
    pixels += noise.normal(0, sigma, pixels.shape[:2] + (1,)).astype(numpy.float32)
    pixels += noise.normal(0, sigma * 0.4, pixels.shape).astype(numpy.float32)
    image = Image.fromarray(numpy.clip(pixels + 0.5, 0, 255).astype(numpy.uint8))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=draw.choice(QUALITIES), subsampling="4:2:0")
    return file.getvalue(), size


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    images, weights = sources()
    draw, noise = random.Random(SEED), numpy.random.default_rng(SEED)
    total_bytes = total_pixels = 0
    for number in range(COUNT):
        content, (width, height) = photograph(images, weights, draw, noise)
        (folder / f"{number:04}.jpg").write_bytes(content)
        total_bytes += len(content)
        total_pixels += width * height
    print(f"{COUNT} photographs, {total_bytes / COUNT / 1e3:.1f} kB and {total_pixels / COUNT / 1e6:.3f} megapixels on average")


main()
