#!/usr/bin/env python3
"""Runs Diptych's optimizer step and the same one in eager PyTorch in turn, on the same images, and prints how they compare.

    cargo build --release && python3 tools/peers/step.py [--rounds 3] [--steps 2] [--only CASE ...] [--memory] [--markdown FILE]

Both start from the same weights and see the same random images, which `diptych bench step --save` writes; the losses of the first
steps must agree. Every round measures each program once, in a process of its own; a ratio is the median over the rounds of one
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

from compare import HERE, ROOT, core_count, environment, processor, say

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
# First steps whose losses are compared, and how far they may be apart, relative. An untrained ResNet-50 on 16 images enlarges
# what sums in another order round otherwise: there the first loss alone, of equal weights, has the narrow bound.
COMPARED, TOLERANCE, TOLERANCE_RESNET50 = 3, 1e-3, 2e-2


def run(command):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if found.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{found.stderr}")
    return json.loads(found.stdout)


def measure(case, batch, python, threads, warm_up, steps, folder, memory=False):
    """Ours, then theirs from our weights, which are left in `folder`."""
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
    return run([*ours, *save, *lengths]), run([*theirs, *lengths])


def check(case, ours, theirs):
    pairs = list(zip(ours["losses"], theirs["losses"]))[:COMPARED]
    apart = [abs(mine - other) / abs(other) for mine, other in pairs]
    losses = ", ".join(f"{mine:.6f} / {other:.6f}" for mine, other in pairs)
    say(f"{case}: the first {len(pairs)} losses, ours / PyTorch's: {losses}; at most {max(apart):.1e} apart")
    later = TOLERANCE_RESNET50 if "resnet50" in case else TOLERANCE
    # A loss that is not a number is not within any bound.
    if not (apart[0] <= TOLERANCE and all(value <= later for value in apart)):
        raise SystemExit(
            f"{case}: losses are {max(apart):.1e} apart, expected at most {TOLERANCE} at first and {later} then:"
            " the two do not do the same work"
        )
    return max(apart)


def heading(text):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return f"{datetime.date.today()}, commit {commit}; {processor()}, {core_count()} cores; {text}"


def table(rows):
    head, *rows = rows
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def speed(arguments, python, threads, folder):
    rows = [["step", "batch", "Diptych, s", "PyTorch, s", "Diptych is", "on all cores, s", "PyTorch's", "Diptych is", "losses apart"]]
    for case in arguments.only:
        batch = arguments.batch_size or CASES[case][1]
        rounds, apart = [], []
        for number in range(arguments.rounds):
            ours, theirs = measure(case, batch, python, threads, arguments.warm_up, arguments.steps, folder / case)
            apart.append(check(case, ours, theirs))
            middle = [statistics.median(found[key]) for key in ("seconds", "processor_seconds") for found in (ours, theirs)]
            rounds.append(middle)
            say(f"round {number + 1}, {case}: {middle[0]:.2f} and {middle[1]:.2f} s, on all cores {middle[2]:.2f} and {middle[3]:.2f} s")
        clock, clock_theirs, cores, cores_theirs = (statistics.median(column) for column in zip(*rounds))
        ratio, cores_ratio = (statistics.median(found[at + 1] / found[at] for found in rounds) for at in (0, 2))
        row = [LABELS[case], str(batch), f"{clock:.2f}", f"{clock_theirs:.2f}", f"{ratio:.2f} x"]
        rows.append(row + [f"{cores:.2f}", f"{cores_theirs:.2f}", f"{cores_ratio:.2f} x", f"{max(apart):.0e}"])
    text = (
        f"medians of {arguments.rounds} rounds of {arguments.steps}\nsteps after {arguments.warm_up}, with {threads}"
        f" thread{'s' * (threads > 1)}; PyTorch 2.11.0, eager, as torch_steps.py has it."
    )
    return f"{heading(text)}\n\n{table(rows)}\n"


def memory(batch, python, threads, folder):
    both = measure(MEMORY_CASE, batch, python, threads, 0, COMPARED, folder, memory=True)
    check(MEMORY_CASE, *both)
    rows = [["step", "batch", "", "Diptych, MiB", "PyTorch, MiB", "Diptych takes"]]
    peaks = [found["memory"]["process_peak_bytes"] / 2**20 for found in both]
    grown = [peak - found["memory"]["process_before_bytes"] / 2**20 for peak, found in zip(peaks, both)]
    for what, (mine, other) in (("peak of the process", peaks), ("minus before the first step", grown)):
        figures = [f"{mine:.0f}", f"{other:.0f}", f"{mine / other:.2f} x"]
        rows.append([LABELS[MEMORY_CASE], str(batch), what, *figures])
    text = f"resident memory (VmHWM;\nVmRSS before) over {COMPARED} steps with {threads} thread{'s' * (threads > 1)}, each in a process of its own."
    return f"{heading(text)}\n\n{table(rows)}\n"


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
            text = memory(arguments.batch_size or MEMORY_BATCH, python, threads, Path(folder))
        else:
            text = speed(arguments, python, threads, Path(folder))
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text)


if __name__ == "__main__":
    main()
