"""Loaders that people use today, on BYOL's two views at 224 pixels: one of them, measured.

    python peers.py PEER --photographs FOLDER [--workers N] [--seconds S]

Prints a line of JSON with `images_per_second`: source images, each of which gives two views. `--workers 0` is one process, for
one core. The recipe is BYOL's in all of them: crop, flip, colour jitter, grayscale, blur, solarize, normalised floats.
"""

import argparse
import glob
import json
import os
import random
import time

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
SIDE = 224
WARM_UP_SECONDS = 3


def steady_rate(batches, size_of, seconds):
    """Images per second once everything has started."""
    start = time.perf_counter()
    while time.perf_counter() - start < WARM_UP_SECONDS:
        next(batches)
    images, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        images += size_of(next(batches))
    return images / (time.perf_counter() - start)


def data_loader_rate(views, arguments):
    """Of a PyTorch DataLoader over a function from a path to two tensors."""
    import torch

    torch.set_num_threads(1)

    class Photographs(torch.utils.data.Dataset):
        def __len__(self):
            return len(arguments.files)

        def __getitem__(self, index):
            return views(arguments.files[index])

    class Forever(torch.utils.data.Sampler):
        def __iter__(self):
            generator = torch.Generator().manual_seed(1)
            while True:
                yield from torch.randperm(len(arguments.files), generator=generator).tolist()

    more = {"prefetch_factor": 4, "persistent_workers": True} if arguments.workers else {}
    loader = torch.utils.data.DataLoader(Photographs(), 32, sampler=Forever(), num_workers=arguments.workers, **more)
    batches = iter(loader)
    for view in next(batches):
        assert view.shape[1:] == (3, SIDE, SIDE) and view.dtype == torch.float32, (view.shape, view.dtype)
    return steady_rate(batches, lambda batch: len(batch[0]), arguments.seconds)


def lightly(arguments):
    """torchvision's transforms on Pillow images, as lightly composes them (bilinear crop, Pillow's blur)."""
    from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
    from PIL import Image

    transform = BYOLTransform(BYOLView1Transform(input_size=SIDE), BYOLView2Transform(input_size=SIDE))

    def views(path):
        with open(path, "rb") as file:
            first, second = transform(Image.open(file).convert("RGB"))
        return first, second

    return data_loader_rate(views, arguments)


def torchvision_pillow(arguments):
    """torchvision's transforms on Pillow images, as solo-learn composes them (bicubic crop, Pillow's blur)."""
    import torchvision.transforms as transforms
    from PIL import Image, ImageFilter, ImageOps

    class Blur:
        def __call__(self, image):
            return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))

    class Solarize:
        def __call__(self, image):
            return ImageOps.solarize(image)

    def view(blur, solarize):
        return transforms.Compose(
            [
                transforms.RandomResizedCrop(SIDE, AREA, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
                transforms.RandomGrayscale(p=0.2),
                transforms.RandomApply([Blur()], p=blur),
                transforms.RandomApply([Solarize()], p=solarize),
                transforms.RandomHorizontalFlip(0.5),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    first, second = view(1.0, 0.0), view(0.1, 0.2)

    def views(path):
        with open(path, "rb") as file:
            image = Image.open(file).convert("RGB")
        return first(image), second(image)

    return data_loader_rate(views, arguments)


def torchvision_tensors(arguments):
    """torchvision's second transforms on 8-bit tensors (bicubic crop, blur of 23 taps)."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms import v2

    def view(blur, solarize):
        return v2.Compose(
            [
                v2.RandomResizedCrop(SIDE, AREA, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
                v2.RandomGrayscale(p=0.2),
                v2.RandomApply([v2.GaussianBlur(23, (0.1, 2.0))], p=blur),
                v2.RandomSolarize(threshold=128, p=solarize),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    first, second = view(1.0, 0.0), view(0.1, 0.2)

    def views(path):
        image = decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
        return first(image), second(image)

    return data_loader_rate(views, arguments)


def albumentations(arguments):
    """albumentations on OpenCV (bicubic crop, blur of 23 taps)."""
    import albumentations
    import cv2
    import numpy
    from albumentations.pytorch import ToTensorV2

    def view(blur, solarize):
        return albumentations.Compose(
            [
                albumentations.RandomResizedCrop((SIDE, SIDE), AREA, RATIO, interpolation=cv2.INTER_CUBIC),
                albumentations.HorizontalFlip(p=0.5),
                albumentations.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1), p=0.8),
                albumentations.ToGray(p=0.2),
                albumentations.GaussianBlur((23, 23), (0.1, 2.0), p=blur),
                albumentations.Solarize((0.5, 0.5), p=solarize),
                albumentations.Normalize(MEAN, STD),
                ToTensorV2(),
            ]
        )

    first, second = view(1.0, 0.0), view(0.1, 0.2)

    def views(path):
        # Workers are processes: threads within them would only be in each other's way.
        cv2.setNumThreads(0)
        image = cv2.imdecode(numpy.fromfile(path, dtype=numpy.uint8), cv2.IMREAD_COLOR_RGB)
        return first(image=image)["image"], second(image=image)["image"]

    return data_loader_rate(views, arguments)


def dali(arguments):
    """DALI without a GPU (bicubic crop, blur as wide as sigma asks for, colour changes in a fixed order)."""
    from nvidia.dali import fn, pipeline_def, types

    bytes_in, solarized = list(range(256)), [float(min(value, 255 - value)) for value in range(256)]

    def uniform(low, high):
        return fn.random.uniform(range=[low, high])

    def crop(image):
        return fn.random_resized_crop(
            image, size=[SIDE, SIDE], random_area=AREA, random_aspect_ratio=RATIO, interp_type=types.INTERP_CUBIC
        )

    def colour(view):
        jitter = fn.cast(fn.random.coin_flip(probability=0.8), dtype=types.FLOAT)
        keep = 1.0 - fn.cast(fn.random.coin_flip(probability=0.2), dtype=types.FLOAT)

        def factor(low, high):
            return jitter * uniform(low, high) + (1.0 - jitter)

        return fn.color_twist(
            view,
            brightness=factor(0.6, 1.4),
            contrast=factor(0.6, 1.4),
            saturation=factor(0.8, 1.2) * keep,
            hue=jitter * uniform(-36.0, 36.0),
        )

    def finish(view):
        return fn.crop_mirror_normalize(
            view,
            mirror=fn.random.coin_flip(probability=0.5),
            dtype=types.FLOAT,
            output_layout="CHW",
            mean=[255 * mean for mean in MEAN],
            std=[255 * std for std in STD],
        )

    @pipeline_def(enable_conditionals=True)
    def pipeline():
        files, _ = fn.readers.file(files=arguments.files, random_shuffle=True, initial_fill=len(arguments.files))
        image = fn.decoders.image(files, device="cpu", output_type=types.RGB)
        first, second = colour(crop(image)), colour(crop(image))
        first = fn.gaussian_blur(first, sigma=uniform(0.1, 2.0))
        if fn.random.coin_flip(probability=0.1, dtype=types.BOOL):
            second = fn.gaussian_blur(second, sigma=uniform(0.1, 2.0))
        if fn.random.coin_flip(probability=0.2, dtype=types.BOOL):
            second = fn.lookup_table(second, keys=bytes_in, values=solarized, dtype=types.UINT8)
        return finish(first), finish(second)

    built = pipeline(batch_size=64, num_threads=max(1, arguments.workers), device_id=None, seed=7, prefetch_queue_depth=2)
    built.build()
    return steady_rate(iter(built.run, None), lambda batch: len(batch[0]), arguments.seconds)


def libjpeg_turbo(arguments):
    """Decodes every file in full, by accurate inverse DCT, and does nothing else: the floor of recipes that decode in full."""
    import multiprocessing

    import simplejpeg

    def decoded():
        contents = [open(path, "rb").read() for path in arguments.files]
        while True:
            for content in contents:
                yield simplejpeg.decode_jpeg(content, "RGB", fastdct=False, fastupsample=False)

    if arguments.workers == 0:
        return steady_rate(decoded(), lambda image: 1, arguments.seconds)
    context = multiprocessing.get_context("fork")
    rates = context.Queue()
    work = lambda: rates.put(steady_rate(decoded(), lambda image: 1, arguments.seconds))
    workers = [context.Process(target=work) for _ in range(arguments.workers)]
    for worker in workers:
        worker.start()
    return sum(rates.get() for _ in workers)


PEERS = {
    "albumentations": albumentations,
    "dali": dali,
    "libjpeg-turbo": libjpeg_turbo,
    "lightly": lightly,
    "torchvision-pillow": torchvision_pillow,
    "torchvision-tensors": torchvision_tensors,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--photographs", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    arguments.files = sorted(glob.glob(os.path.join(arguments.photographs, "*.jpg")))
    if not arguments.files:
        parser.error(f"no .jpg files in {arguments.photographs}; make them with photographs.py")
    print(json.dumps({"peer": arguments.peer, "images_per_second": PEERS[arguments.peer](arguments)}), flush=True)
    # Persistent workers are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
