"""BYOL's and SimCLR's optimizer steps in eager PyTorch and torchvision, as a user of PyTorch writes them: one of them, measured.

    python torch_steps.py METHOD NETWORK --from FOLDER --rate R --temperature T --threads N --warm-up W --steps K

FOLDER has the weights to start from and the images, as `diptych bench step --save` writes them. Prints a line of JSON: seconds on
the clock and on all cores of each measured step, peak memory before the first step and after the last, and every step's loss.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18, resnet50

MOMENTUM, DECAY, TRUST = 0.9, 1e-6, 1e-3
TAU = {"resnet18-small": 0.996, "resnet50": 0.99}


def encoder(network):
    """A network without its classifier, and its number of features."""
    if network == "resnet50":
        net = resnet50()
        features, net.fc = net.fc.in_features, nn.Identity()
    else:
        net = resnet18()
        net.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        net.maxpool = nn.Identity()
        features, net.fc = net.fc.in_features, nn.Identity()
    return net, features


def head(inputs, hidden, outputs):
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs, bias=False)
    )


class BYOL(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.encoder, features = encoder(network)
        self.projector, self.predictor = head(features, 4096, 256), head(256, 4096, 256)
        self.target_encoder, self.target_projector = copy.deepcopy(self.encoder), copy.deepcopy(self.projector)
        self.target = nn.ModuleList([self.target_encoder, self.target_projector]).requires_grad_(False)
        self.online = nn.ModuleList([self.encoder, self.projector])
        self.tau = TAU[network]

    def trained(self):
        return [self.encoder, self.projector, self.predictor]

    def loss(self, first, second):
        predictions = [self.predictor(self.projector(self.encoder(view))) for view in (first, second)]
        with torch.no_grad():
            targets = [self.target_projector(self.target_encoder(view)) for view in (first, second)]
        pairs = zip(predictions, reversed(targets))
        return sum((2 - 2 * functional.cosine_similarity(q, z, dim=-1)).mean() for q, z in pairs)

    @torch.no_grad()
    def after_step(self):
        torch._foreach_lerp_(list(self.target.parameters()), list(self.online.parameters()), 1 - self.tau)


class SimCLR(nn.Module):
    def __init__(self, network, temperature):
        super().__init__()
        self.encoder, features = encoder(network)
        width = 2048 if network == "resnet50" else 512
        norm = nn.BatchNorm1d(128)
        # SimCLR's last batch norm has a scale and no shift.
        norm.bias.requires_grad_(False)
        self.projector = nn.Sequential(*head(features, width, 128), norm)
        self.temperature = temperature

    def trained(self):
        return [self.encoder, self.projector]

    def loss(self, first, second):
        z = functional.normalize(self.projector(self.encoder(torch.cat([first, second]))), dim=1)
        similarities = z @ z.T / self.temperature
        similarities.fill_diagonal_(float("-inf"))
        count = len(first)
        other_view = torch.arange(2 * count).roll(count)
        return functional.cross_entropy(similarities, other_view)

    def after_step(self):
        pass


class LARS(torch.optim.Optimizer):
    """With `rate_inside` as SimCLR's code, without as BYOL's; biases and norms take neither decay nor trust ratio."""

    def __init__(self, modules, rate, rate_inside):
        adapted, plain = [], []
        for module in modules:
            for parameter in module.parameters():
                if parameter.requires_grad:
                    (adapted if parameter.ndim > 1 else plain).append(parameter)
        super().__init__([{"params": adapted, "adapt": True}, {"params": plain, "adapt": False}], {"lr": rate})
        self.rate_inside = rate_inside

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            weights = group["params"]
            update = [weight.grad for weight in weights]
            if group["adapt"]:
                update = torch._foreach_add(update, weights, alpha=DECAY)
                lengths, steps = torch.stack(torch._foreach_norm(weights)), torch.stack(torch._foreach_norm(update))
                ratio = torch.where((lengths > 0) & (steps > 0), TRUST * lengths / steps, torch.ones_like(lengths))
                torch._foreach_mul_(update, list(ratio.unbind()))
            if "velocity" not in group:
                group["velocity"] = [torch.zeros_like(weight) for weight in weights]
            torch._foreach_mul_(group["velocity"], MOMENTUM)
            torch._foreach_add_(group["velocity"], update, alpha=group["lr"] if self.rate_inside else 1.0)
            torch._foreach_add_(weights, group["velocity"], alpha=-1.0 if self.rate_inside else -group["lr"])


def load(model, file):
    """Loads Diptych's names, whose encoder has torchvision's."""
    places = {"linear1": "0", "norm1": "1", "linear2": "3", "norm2": "4"}
    renamed = {}
    for name, tensor in load_file(file).items():
        name = name.replace("target.encoder.", "target_encoder.").replace("target.projector.", "target_projector.")
        part, _, rest = name.partition(".")
        if not part.endswith("encoder"):
            layer, _, rest = rest.partition(".")
            rest = f"{places[layer]}.{rest}"
        renamed[f"{part}.{rest}"] = tensor
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    # The first modules of `target` and `online` are second names; heads count no batches.
    missing = [name for name in missing if not name.startswith(("target.", "online.")) and "num_batches" not in name]
    missing = [name for name in missing if name != "projector.4.bias"]
    if missing or unexpected:
        raise SystemExit(f"the weights in {file} do not fit: {missing} are missing, {unexpected} are unknown")


def resident(key):
    """Bytes of this process: VmRSS are now, VmHWM the most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=["byol", "simclr"])
    parser.add_argument("network", choices=list(TAU))
    parser.add_argument("--from", dest="folder", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--temperature", type=float, default=0.1)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true", help="weights and images in that memory format")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    byol = arguments.method == "byol"
    model = BYOL(arguments.network) if byol else SimCLR(arguments.network, arguments.temperature)
    load(model, arguments.folder / "model.safetensors")
    model.train()
    views = load_file(arguments.folder / "views.safetensors")
    views = [views["view1"], views["view2"]]
    if arguments.channels_last:
        model = model.to(memory_format=torch.channels_last)
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
    optimizer = LARS(model.trained(), arguments.rate, rate_inside=not byol)
    before = resident("VmRSS")
    seconds, processor, losses = [], [], []
    for number in range(arguments.warm_up + arguments.steps):
        start, on_cores = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        loss = model.loss(*views)
        loss.backward()
        optimizer.step()
        model.after_step()
        losses.append(loss.item())
        if number >= arguments.warm_up:
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - on_cores)
    memory = {"process_before_bytes": before, "process_peak_bytes": resident("VmHWM")}
    print(json.dumps({"seconds": seconds, "processor_seconds": processor, "memory": memory, "losses": losses}))


if __name__ == "__main__":
    main()
