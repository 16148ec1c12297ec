"""Writes decode/: images of every kind that the decoders must read, and what Pillow makes of them.

    apt-get install libjpeg-turbo-progs        # cjpeg, for samplings and scans that Pillow does not write
    pip install pillow==13.0.0 numpy && python decode_reference.py

`decode/expected.tsv` has, per file, the upright width and height, and the SHA-256 of the RGB bytes after `exif_transpose` and
`convert("RGB")`. Of lossy WebP, where decoders differ by the rounding of colours, `NAME.png` has the pixels.
"""

import hashlib
import io
import struct
import subprocess
import zlib
from pathlib import Path

import numpy
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent / "decode"


def picture(width, height, channels=3):
    """Gradients, an edge and some noise, so that every frequency occurs."""
    noise = numpy.random.default_rng(width * 10007 + height).normal(0, 14, (height, width, channels))
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [x * 9 + y * 2, 255 - y * 5 + x, 128 + 100 * numpy.sin(x / 3 + y / 5), 90 + 3 * y]
    image = numpy.stack([plane % 256 for plane in planes[:channels]], axis=-1)
    image[(x - y) % 23 < 3] //= 4
    return numpy.clip(image + noise, 0, 255).astype(numpy.uint8)


def pillow(image, format, **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image.squeeze())
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def cjpeg(image, *arguments):
    header = b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0])
    return subprocess.run(["cjpeg", *arguments], input=header + image.tobytes(), stdout=-1, check=True).stdout


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def png_16_bit(image):
    """RGB samples of 16 bits, whose low bytes must play no part."""
    height, width = image.shape[:2]
    samples = image.astype(">u2") * 256 + image[::-1]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def files():
    photo = picture(53, 37)
    for name, sampling in {"444": 0, "422": 1, "420": 2}.items():
        for quality in (35, 92, 100):
            yield f"baseline_{name}_q{quality}.jpg", pillow(photo, "JPEG", quality=quality, subsampling=sampling)
        yield f"progressive_{name}.jpg", pillow(photo, "JPEG", quality=90, subsampling=sampling, progressive=True)
        yield f"restart_{name}.jpg", pillow(photo, "JPEG", quality=80, subsampling=sampling, restart_marker_blocks=3)
        yield f"optimized_{name}.jpg", pillow(photo, "JPEG", quality=97, subsampling=sampling, optimize=True)
    # Sampling factors of luma, or of every component.
    for sampling in ("1x2", "4x1", "1x4", "4x2", "2x4", "3x1", "2x2,1x2,2x1", "1x1,2x2,2x2", "2x1,1x1,2x1"):
        name = sampling.replace(",", "_")
        yield f"sampling_{name}.jpg", cjpeg(photo, "-quality", "90", "-sample", sampling)
        yield f"progressive_sampling_{name}.jpg", cjpeg(photo, "-quality", "90", "-progressive", "-restart", "1", "-sample", sampling)
    scans = FOLDER / "scans.txt"
    scans.write_text("0;\n2;\n1;\n")
    yield "a_scan_per_component.jpg", cjpeg(photo, "-quality", "85", "-sample", "2x2", "-scans", str(scans))
    scans.write_text("0 1;\n2;\n")
    yield "two_scans.jpg", cjpeg(photo, "-quality", "85", "-sample", "2x1", "-restart", "4B", "-scans", str(scans))
    scans.unlink()
    yield "rgb.jpg", cjpeg(photo, "-quality", "90", "-rgb")
    yield "gray.jpg", pillow(picture(53, 37, 1), "JPEG", quality=90)
    yield "gray_progressive.jpg", pillow(picture(53, 37, 1), "JPEG", quality=90, progressive=True)
    yield "gray_sampled.jpg", cjpeg(photo, "-quality", "90", "-grayscale", "-sample", "2x2")
    for progressive in (False, True):
        ink = Image.fromarray(picture(53, 37, 4), "CMYK")
        cmyk = pillow(ink, "JPEG", quality=90, progressive=progressive)
        yield f"cmyk{'_progressive' if progressive else ''}.jpg", cmyk
    # The last byte of Adobe's segment says how the colours are coded.
    adobe = cmyk.index(b"Adobe") + 11
    yield "ycck.jpg", cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :]
    for width, height in [(1, 1), (2, 1), (1, 2), (3, 3), (4, 5), (5, 4), (7, 9), (8, 8), (9, 16), (16, 16), (17, 17), (31, 33), (32, 64), (3, 300), (300, 3)]:
        image = picture(width, height)
        for name, sampling in {"444": 0, "422": 1, "420": 2}.items():
            yield f"size_{width}x{height}_{name}.jpg", pillow(image, "JPEG", quality=88, subsampling=sampling)
        yield f"size_{width}x{height}_440.jpg", cjpeg(image, "-quality", "88", "-sample", "1x2")
        yield f"size_{width}x{height}_progressive.jpg", pillow(image, "JPEG", quality=88, progressive=True)
    tall = numpy.repeat(picture(3, 100), 50, axis=0)
    yield "size_3x5000_420.jpg", pillow(tall, "JPEG", quality=75)
    yield "photograph_420.jpg", pillow(picture(161, 117), "JPEG", quality=75)
    for orientation in range(1, 9):
        yield f"orientation_{orientation}.jpg", pillow(photo, "JPEG", quality=85, exif=exif(orientation))
        yield f"orientation_{orientation}.png", pillow(picture(7, 5), "PNG", exif=exif(orientation))
        yield f"orientation_{orientation}.webp", pillow(picture(7, 5), "WEBP", lossless=True, exif=exif(orientation))

    small = picture(19, 11)
    for name in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = Image.fromarray(small).convert(name)
        if name.endswith("A"):
            image.putalpha(Image.fromarray(picture(19, 11, 1).squeeze()))
        yield f"{name.lower()}.png", pillow(image, "PNG")
    yield "palette_transparent.png", pillow(Image.fromarray(small).convert("P"), "PNG", transparency=3)
    yield "16_bit.png", png_16_bit(small)
    for name in ("L", "P", "RGB"):
        yield f"{name.lower()}.bmp", pillow(Image.fromarray(small).convert(name), "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{compression}.tiff", pillow(small, "TIFF", compression=compression)
    yield "lossless.webp", pillow(small, "WEBP", lossless=True)
    frames = [Image.fromarray(frame) for frame in (small, 255 - small)]
    yield "animated.webp", pillow(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    yield "animated.png", pillow(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "lossy.webp", pillow(photo, "WEBP", quality=80)


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    lines = ["file\twidth\theight\tsha256"]
    for name, content in files():
        (FOLDER / name).write_bytes(content)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        checksum = hashlib.sha256(image.tobytes()).hexdigest()
        lines.append(f"{name}\t{image.width}\t{image.height}\t{checksum}")
        if name == "lossy.webp":
            image.save(FOLDER / f"{name}.png")
    (FOLDER / "expected.tsv").write_text("\n".join(lines) + "\n")


main()
