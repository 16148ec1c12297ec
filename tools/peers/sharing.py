#!/usr/bin/env python3
"""Measures what a study would save if its arms shared one decoder, beside what packing the images saves.

    cargo build --release && python3 tools/peers/sharing.py [--rounds 3] [--seconds 5] [--demo FOLDER] [--markdown FILE]

Arms of one seed read the same images in the same order. One process that decodes each image once and makes two views for each of N
arms is the best that sharing could be, for nothing is handed from process to process and no arm waits for another: it is measured as an
augmentation set with 2 N views. The environment and the photographs are those of compare.py; the demo's images are made anew or
are those of --demo.
"""

import argparse
import statistics
import subprocess
import tempfile
import tomllib
from pathlib import Path

from compare import ROOT, core_count, heading, markdown, measure_ours, publish, say, set_up
from forms import BINARY, FORMS, packed

ARMS = [2, 4]
PIXELS = "tar, pixels, short side 256"


def with_arms(config, arms, folder):
    """An augmentation set with the views of `config`, once per arm."""
    views = tomllib.loads(config.read_text())["views"]
    lines = []
    for arm in range(arms):
        for view in views:
            operators = ", ".join(inline(operator) for operator in view["operators"])
            lines.append(f'[[views]]\nname = "{view["name"]}_{arm}"\noperators = [{operators}]\n')
    path = folder / f"{config.stem}_{arms}.toml"
    path.write_text("\n".join(lines))
    return path


def inline(operator):
    def text(value):
        if isinstance(value, str):
            return f'"{value}"'
        return str(value).lower() if isinstance(value, bool) else str(value)

    return "{ " + ", ".join(f"{key} = {text(value)}" for key, value in operator.items()) + " }"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--demo", type=Path, help="folder of the demo's training images")
    parser.add_argument("--markdown", type=Path, help="also write the table there")
    arguments = parser.parse_args()
    _, photographs = set_up()
    cores = core_count()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        demo = arguments.demo
        if demo is None:
            subprocess.run([BINARY, "synth", folder / "demo", "--split", "train=4096"], check=True, stdout=subprocess.DEVNULL)
            demo = folder / "demo/train"
        sets = ROOT / "configs/augmentations"
        byol, textures = sets / "byol.toml", sets / "demo.toml"
        # Name: images, augmentation set, arms that share.
        cases = {("photographs, byol.toml", 1): (photographs, byol), ("demo, demo.toml", 1): (demo, textures)}
        for arms in ARMS:
            cases[("photographs, byol.toml", arms)] = (photographs, with_arms(byol, arms, folder))
            cases[("demo, demo.toml", arms)] = (demo, with_arms(textures, arms, folder))
        pixels = packed(PIXELS, FORMS[PIXELS], photographs)
        cases[("photographs packed as pixels, byol.toml", 1)] = (pixels, byol)
        figures = {case: [] for case in cases}
        for round_number in range(arguments.rounds):
            for case, (data, config) in cases.items():
                figures[case].append(measure_ours(data, cores, arguments.seconds, config))
                say(f"round {round_number + 1}, {case[0]}, {case[1]} arm(s): {figures[case][-1]:.0f} images/s")
    medians = {case: statistics.median(found) for case, found in figures.items()}
    rows = [["images, views", "arms at once", "images/s of each arm, shared", "apart", "sharing is"]]
    for (name, arms), rate in sorted(medians.items()):
        if arms == 1:
            rows.append([name, "1", "", f"{rate:.0f}", ""])
        else:
            apart = medians[name, 1] / arms
            rows.append([name, str(arms), f"{rate:.0f}", f"{apart:.0f}", f"{rate / apart:.2f} x"])
    publish(heading(arguments.rounds, arguments.seconds), markdown(rows), arguments.markdown)


if __name__ == "__main__":
    main()
