#!/usr/bin/env python3
"""Packs the photographs of compare.py in every form, measures the pipeline on each, and prints size against speed.

    cargo build --release && python3 tools/peers/forms.py [--rounds 3] [--seconds 5] [--markdown FILE]

The environment and the photographs are those of compare.py, made the first time as there.
"""

import argparse
import shutil
import statistics
import subprocess
from pathlib import Path

from compare import FOLDER, ROOT, core_count, heading, markdown, measure_ours, publish, say, set_up

BINARY = ROOT / "target/release/diptych"
FORMS = {
    "image files": None,
    "tar, files as they are": ["--format", "keep"],
    "tar, JPEG 90, short side 288": ["--format", "jpeg", "--quality", "90", "--short-side", "288"],
    "tar, JPEG 90, short side 256": ["--format", "jpeg", "--quality", "90", "--short-side", "256"],
    "tar, WebP 90, short side 256": ["--format", "webp", "--quality", "90", "--short-side", "256"],
    "tar, lossless WebP, short side 256": ["--format", "webp-lossless", "--short-side", "256"],
    "tar, pixels, short side 256": ["--format", "raw", "--short-side", "256"],
}


def packed(name, options, photographs):
    if options is None:
        return photographs
    folder = FOLDER / "forms" / name.replace(" ", "-").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([BINARY, "pack", photographs, folder, *options], check=True, stdout=subprocess.DEVNULL)
    return folder


def size(path):
    return sum(file.stat().st_size for file in path.iterdir() if file.suffix in (".tar", ".jpg"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--markdown", type=Path, help="also write the table there")
    arguments = parser.parse_args()
    _, photographs = set_up()
    count = len(list(photographs.glob("*.jpg")))
    paths = {name: packed(name, options, photographs) for name, options in FORMS.items()}
    cores = sorted({1, core_count()})
    figures = {name: {number: [] for number in cores} for name in FORMS}
    for round_number in range(arguments.rounds):
        for name, path in paths.items():
            for number in cores:
                figures[name][number].append(measure_ours(path, number, arguments.seconds))
            say(f"round {round_number + 1}, {name}: {[round(figures[name][number][-1]) for number in cores]}")
    medians = {name: [statistics.median(figures[name][number]) for number in cores] for name in FORMS}
    rows = [["form", "kB per image"] + [f"images/s, {number} core{'s' * (number > 1)}" for number in cores]]
    rows[0].append("speed, image files = 1")
    for name, found in medians.items():
        kilobytes = size(paths[name]) / count / 1e3
        ratio = found[-1] / medians["image files"][-1]
        rows.append([name, f"{kilobytes:.0f}"] + [f"{median:.0f}" for median in found] + [f"{ratio:.2f}"])
    publish(heading(arguments.rounds, arguments.seconds), markdown(rows), arguments.markdown)


if __name__ == "__main__":
    main()
