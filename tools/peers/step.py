#!/usr/bin/env python3
"""Runs Diptych's optimizer step and the same ones in eager PyTorch in turn, on the same images, and prints how they compare.

    cargo build --release && python3 tools/peers/step.py [--rounds 3] [--steps 2] [--only CASE ...] [--memory] [--markdown FILE]

All start from the same weights and see the same random images, which `diptych bench step --save` writes; the losses of the first
steps must agree. PyTorch runs twice: as it comes, and with weights and images in its `channels_last` format, as Diptych has them. Every round measures each program once, in a process of its own; a ratio is the median over the rounds of one
round's ratio. The environment is that of compare.py, or --python names one that has torch, torchvision and safetensors. Run it
while nothing else runs; where that can't be had, the time on all cores says more than the time on the clock.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from compare import HERE, ROOT, core_count, environment, markdown, processor, publish, say

# Name: configuration, batch, its learning rate at batch 256, arguments of torch_steps.py.
CASES = {
    "byol-resnet18": ("byol_small", 256, 2.0, ["byol", "resnet18-small"]),
    "simclr-resnet18": ("simclr_small", 256, 1.0, ["simclr", "resnet18-small", "--temperature", "0.5"]),
    "byol-resnet50": ("byol_imagenet", 16, 0.3, ["byol", "resnet50"]),
    "simclr-resnet50": ("simclr_imagenet", 16, 0.3, ["simclr", "resnet50"]),
}
LABELS = {
    "byol-resnet18": "BYOL, ResNet-18, 32 px",
    "simclr-resnet18": "SimCLR, ResNet-18, 32 px",
    "byol-resnet50": "BYOL, ResNet-50, 224 px",
    "simclr-resnet50": "SimCLR, ResNet-50, 224 px",
}
MEMORY_CASE, MEMORY_BATCH = "byol-resnet50", 32
# First steps whose losses are compared, and how far they may be apart, relative. In `channels_last`, which Diptych uses, PyTorch
# sums the statistics of batch norms in single precision; what that rounds, an untrained ResNet-50 on 16 images of noise enlarges. So
# there the losses are compared with those of PyTorch in the same format, and those of the other one are told.
COMPARED, TOLERANCE = 3, 1e-3


def run(command):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if found.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{found.stderr}")
    return json.loads(found.stdout)


def measure(case, batch, python, threads, warm_up, steps, folder, memory=False):
    """Ours, then theirs from our weights, which are left in `folder`: as it comes, and in `channels_last`."""
    config, _, rate, peer = CASES[case]
    lengths = ["--warm-up", str(warm_up), "--steps", str(steps)]
    ours = [ROOT / "target/release/diptych", "bench", "step", "--json", "--set", "device=cpu"]
    ours += ["--config", ROOT / f"configs/pretrain/{config}.toml", "--batch-size", str(batch), "--threads", str(threads)]
    save = ["--save", folder]
    if memory:
        # Saving takes memory, which a measurement of memory must not have had.
        run([*ours, *save, "--warm-up", "0", "--steps", "1"])
        save = []
    theirs = [python, HERE / "torch_steps.py", *peer, "--rate", str(rate * batch / 256), "--from", folder, "--threads", str(threads)]
    return run([*ours, *save, *lengths]), run([*theirs, *lengths]), run([*theirs, *lengths, "--channels-last"])


def check(case, ours, eager, channels_last):
    """The largest relative difference of our losses to those of PyTorch in `channels_last`."""
    apart = {}
    for name, theirs in ("as it comes", eager), ("channels_last", channels_last):
        pairs = list(zip(ours["losses"], theirs["losses"]))[:COMPARED]
        apart[name] = max(abs(mine - other) / abs(other) for mine, other in pairs)
        losses = ", ".join(f"{mine:.6f} / {other:.6f}" for mine, other in pairs)
        say(f"{case}: the first {len(pairs)} losses, ours / PyTorch's, {name}: {losses}; at most {apart[name]:.1e} apart")
    # A loss that is not a number is not within any bound.
    if not apart["channels_last"] <= TOLERANCE:
        raise SystemExit(
            f"{case}: losses are {apart['channels_last']:.1e} apart, expected at most {TOLERANCE}: the two do not do the same work"
        )
    return apart["channels_last"]


def heading(text):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return f"{datetime.date.today()}, commit {commit}; {processor()}, {core_count()} cores; {text}"


def speed(arguments, python, threads, folder):
    rows = [["step", "batch", "Diptych, s", "PyTorch, s", "Diptych is", "channels_last, s", "Diptych is", "on all cores", "losses apart"]]
    for case in arguments.only:
        batch = arguments.batch_size or CASES[case][1]
        rounds, apart = [], []
        for number in range(arguments.rounds):
            found = measure(case, batch, python, threads, arguments.warm_up, arguments.steps, folder / case)
            apart.append(check(case, *found))
            rounds.append([[statistics.median(one[key]) for one in found] for key in ("seconds", "processor_seconds")])
            say(f"round {number + 1}, {case}: " + ", ".join(f"{seconds:.2f}" for seconds in rounds[-1][0]) + " s")
        clock = [statistics.median(column) for column in zip(*(seconds for seconds, _ in rounds))]
        ratio = lambda key, peer: statistics.median(found[key][peer] / found[key][0] for found in rounds)
        row = [LABELS[case], str(batch), f"{clock[0]:.2f}", f"{clock[1]:.2f}", f"{ratio(0, 1):.2f} x", f"{clock[2]:.2f}"]
        rows.append([*row, f"{ratio(0, 2):.2f} x", f"{ratio(1, 1):.2f} x, {ratio(1, 2):.2f} x", f"{max(apart):.0e}"])
    text = (
        f"medians of {arguments.rounds} rounds of {arguments.steps}\nsteps after {arguments.warm_up}, with {threads}"
        f" thread{'s' * (threads > 1)}; PyTorch 2.11.0, eager, as torch_steps.py has it."
    )
    return heading(text), markdown(rows)


def memory(batch, python, threads, folder):
    found = measure(MEMORY_CASE, batch, python, threads, 0, COMPARED, folder, memory=True)
    check(MEMORY_CASE, *found)
    rows = [["step", "batch", "", "Diptych, MiB", "PyTorch, MiB", "Diptych takes", "channels_last, MiB", "Diptych takes"]]
    peaks = [one["memory"]["process_peak_bytes"] / 2**20 for one in found]
    grown = [peak - one["memory"]["process_before_bytes"] / 2**20 for peak, one in zip(peaks, found)]
    for what, (mine, eager, last) in (("peak of the process", peaks), ("minus before the first step", grown)):
        figures = [f"{mine:.0f}", f"{eager:.0f}", f"{mine / eager:.2f} x", f"{last:.0f}", f"{mine / last:.2f} x"]
        rows.append([LABELS[MEMORY_CASE], str(batch), what, *figures])
    text = f"resident memory (VmHWM;\nVmRSS before) over {COMPARED} steps with {threads} thread{'s' * (threads > 1)}, each in a process of its own."
    return heading(text), markdown(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of both [default: one per core]")
    parser.add_argument("--batch-size", type=int, help="of every case, instead of its own")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--memory", action="store_true", help=f"compare peak memory instead, at batch {MEMORY_BATCH}")
    parser.add_argument("--python", type=Path, help="an interpreter that has the packages, instead of compare.py's environment")
    parser.add_argument("--markdown", type=Path, help="also write the table there")
    arguments = parser.parse_args()
    python = arguments.python or environment()
    threads = arguments.threads or core_count()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.memory:
            found = memory(arguments.batch_size or MEMORY_BATCH, python, threads, Path(folder))
        else:
            found = speed(arguments, python, threads, Path(folder))
    publish(*found, arguments.markdown)


if __name__ == "__main__":
    main()
