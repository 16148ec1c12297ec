#!/usr/bin/env python3
"""Runs Diptych's pipeline and other loaders in turn, on the same photographs, and prints how they compare.

    cargo build --release && python3 tools/peers/compare.py [--rounds 3] [--seconds 8] [--only PEER ...] [--markdown FILE]

The first time it makes an environment for the peers in the folder `.peers` (PyTorch with its CUDA libraries, DALI: several
gigabytes from PyPI) and the photographs. Every round measures each program once, with all cores and with one; a program's figure
is the median over the rounds, a ratio is one of figures of the same machine and hour. Run it while nothing else runs.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".peers"
PACKAGES = [
    "torch==2.11.0",
    "torchvision==0.26.0",
    "lightly==1.6.0",
    "nvidia-dali-cuda130==2.4.0",
    "albumentations==2.0.8",
    "opencv-python-headless",
    "simplejpeg==1.9.0",
    "scikit-learn",
    "scikit-image",
    "safetensors",
]
FLOOR = "libjpeg-turbo"
PEERS = [FLOOR, "albumentations", "dali", "torchvision-pillow", "lightly", "torchvision-tensors"]
LABELS = {FLOOR: "libjpeg-turbo, decoding in full and nothing else"}
OURS = "diptych"


def say(text):
    print(text, file=sys.stderr, flush=True)


def environment():
    python = FOLDER / "venv/bin/python"
    done = FOLDER / "installed.txt"
    if not done.is_file() or done.read_text().split() != PACKAGES:
        say(f"installing the peers into {FOLDER}")
        subprocess.run([sys.executable, "-m", "venv", FOLDER / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text("\n".join(PACKAGES))
    return python


def set_up():
    python = environment()
    photographs = FOLDER / "photographs"
    if not (photographs / "0599.jpg").is_file():
        say("making the photographs")
        subprocess.run([python, HERE / "photographs.py", photographs], check=True, stdout=sys.stderr)
    return python, photographs


def measure_ours(data, cores, seconds, config=ROOT / "configs/augmentations/byol.toml"):
    """Images per second of Diptych on `cores` cores."""
    command = [ROOT / "target/release/diptych", "bench", "pipeline", "--data", data]
    command += ["--config", config]
    command += ["--workers", str(cores), "--seconds", str(seconds), "--json"]
    return json.loads(run(command, cores))["measurements"][0]["images_per_second"]


def measure_peer(name, cores, python, photographs, seconds):
    """Images per second of a peer on `cores` cores."""
    workers = "0" if cores == 1 else str(cores)
    command = [python, HERE / "peers.py", name, "--photographs", photographs, "--workers", workers]
    return json.loads(run([*command, "--seconds", str(seconds)], cores).splitlines()[-1])["images_per_second"]


def run(command, cores):
    # The kernel's choice of cores is part of what is measured, but one core is one core.
    if cores == 1:
        command = ["taskset", "--cpu-list", "0", *command]
    # Set for old machines in some installations, they slow down numpy on new ones.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS")}
    environment["NO_ALBUMENTATIONS_UPDATE"] = "1"
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if found.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{found.stderr}")
    return found.stdout


def core_count():
    return len(os.sched_getaffinity(0))


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line for line in lines if line.startswith("flags")), "")
    vectors = next((text for flag, text in [("avx512bw", "AVX-512"), ("avx2", "AVX2")] if flag in flags), "no AVX2")
    return f"{model}, {vectors}"


def heading(rounds, seconds):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return (
        f"{datetime.date.today()}, commit {commit}; {processor()}, {core_count()} cores; 600 photographs of ImageNet's shape, BYOL's"
        f" two\nviews at 224 pixels, whole recipe; source images per second, medians of {rounds} rounds of {seconds:.0f} s."
    )


def markdown(rows):
    """A table whose first row is its head; numbers stand to the right."""
    head, *rows = rows
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def publish(heading, table, path):
    """Prints the table under its heading, and writes both to `path` where there is one."""
    text = f"{heading}\n\n{table}\n"
    print(text)
    if path:
        path.write_text(text)


def table(figures, core_counts):
    """Markdown; the best peer's row is what ours is compared with first."""
    head = ["loader"] + [f"images/s, {count} core{'s' * (count > 1)}" for count in core_counts]
    head += [f"Diptych is, {count} core{'s' * (count > 1)}" for count in core_counts]
    rows = [head]
    names = sorted(figures, key=lambda name: -statistics.median(figures[name][core_counts[0]]))
    for name in names:
        medians = [statistics.median(figures[name][count]) for count in core_counts]
        ours = [statistics.median(figures[OURS][count]) for count in core_counts]
        ratios = ["" if name == OURS else f"{mine / theirs:.2f} x" for mine, theirs in zip(ours, medians)]
        rows.append([LABELS.get(name, name)] + [f"{median:.0f}" for median in medians] + ratios)
    return markdown(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--markdown", type=Path, help="also write the table there")
    arguments = parser.parse_args()
    python, photographs = set_up()
    core_counts = sorted({core_count(), 1}, reverse=True)
    figures = {name: {count: [] for count in core_counts} for name in [OURS, *arguments.only]}
    for round_number in range(arguments.rounds):
        for name in figures:
            for count in core_counts:
                if name == OURS:
                    found = measure_ours(photographs, count, arguments.seconds)
                else:
                    found = measure_peer(name, count, python, photographs, arguments.seconds)
                figures[name][count].append(found)
                say(f"round {round_number + 1}, {name}, {count} core(s): {found:.1f} images/s")
    publish(heading(arguments.rounds, arguments.seconds), table(figures, core_counts), arguments.markdown)


if __name__ == "__main__":
    main()
