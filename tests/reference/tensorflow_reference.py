"""Writes tensorflow_reference.safetensors: what TensorFlow's own functions make of a small image, and where they crop.

    pip install tensorflow-cpu safetensors && python tensorflow_reference.py

`image` [17, 23, 3] is 8-bit; `FILTER.HEIGHTxWIDTH` is `tf.image.resize` of it without antialiasing, clipped to [0, 255].
`crop` has the mean area (as a fraction), the mean logarithm of width / height, and the mean left edge as a fraction of the room
left for it, of 100,000 draws of `tf.image.sample_distorted_bounding_box` on 300 rows and 400 columns, as SimCLR's code calls it.
"""

from pathlib import Path

import numpy
import tensorflow
from safetensors.numpy import save_file

HEIGHT, WIDTH = 17, 23
DRAWS = 100_000


def picture():
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x * 11 + y * 3, 255 - y * 13 + x, 128 + 110 * numpy.sin(x / 2 + y / 3)]
    image = numpy.stack([plane % 256 for plane in planes], axis=-1).astype(numpy.uint8)
    image[(x - y) % 7 < 2] //= 3
    return image


def crops():
    shape = tensorflow.constant([300, 400, 3])
    box = tensorflow.constant([[[0.0, 0.0, 1.0, 1.0]]])

    @tensorflow.function
    def draw():
        begin, size, _ = tensorflow.image.sample_distorted_bounding_box(
            shape, box, min_object_covered=0.1, aspect_ratio_range=(3 / 4, 4 / 3), area_range=(0.08, 1.0), max_attempts=100
        )
        return tensorflow.concat([begin[:2], size[:2]], 0)

    tensorflow.random.set_seed(1)
    drawn = tensorflow.data.Dataset.range(DRAWS).map(lambda _: draw()).batch(10_000)
    top, left, height, width = numpy.concatenate([batch.numpy() for batch in drawn]).astype(numpy.float64).T
    room = left[width < 400] / (400 - width[width < 400])
    return [(width * height).mean() / 120_000, numpy.log(width / height).mean(), room.mean()]


def main():
    image = picture()
    tensors = {"image": image, "crop": numpy.array(crops())}
    for name in ("bicubic", "bilinear"):
        for height, width in [(9, 9), (40, 31), (17, 23), (5, 60)]:
            resized = tensorflow.image.resize(image, [height, width], method=name, antialias=False).numpy()
            tensors[f"{name}.{height}x{width}"] = numpy.clip(resized, 0, 255).astype(numpy.float32)
    save_file(tensors, Path(__file__).with_name("tensorflow_reference.safetensors"))
    print(tensors["crop"])


main()
