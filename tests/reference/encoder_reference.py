"""Writes encoder_reference.safetensors: features and names of networks as torchvision and timm have them; and torchscript/*.pt.

    python encoder_reference.py      (torch 2.11.0, torchvision 0.26.0, timm 1.0.22, numpy)

Weights and images are not drawn but computed from a hash that the tests repeat (`value` below), keyed by the variable's
name. Of names and shapes the FNV-1a hash of one line each (`conv1.weight 64x3x7x7`) is kept.
"""
import io
import json
import pathlib
import struct
import zipfile

import numpy as np
import timm
import torch
import torchvision
from timm.layers import StdConv2d

HERE = pathlib.Path(__file__).parent
torch.set_num_threads(1)


def value(variable: int, count: int) -> np.ndarray:
    """As in torch_reference.py: numbers in [-1, 1) that depend on the variable and the element's index alone."""
    h = np.arange(count, dtype=np.uint64) * 2654435761 + np.uint64(variable * 40503 + 12345)
    h &= 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    h ^= h >> 16
    return (h.astype(np.float64) / 2147483648.0 - 1.0).astype(np.float32)


def fnv(text: str, bits: int) -> int:
    prime, basis = {32: (0x01000193, 0x811C9DC5), 64: (0x100000001B3, 0xCBF29CE484222325)}[bits]
    for byte in text.encode():
        basis = ((basis ^ byte) * prime) % 2**bits
    return basis


def images(rows: int, columns: int) -> torch.Tensor:
    return torch.from_numpy(value(1000, 4 * 3 * rows * columns)).reshape(4, 3, rows, columns)


tensors: dict[str, torch.Tensor] = {}


def note_names(label: str, state: dict) -> None:
    lines = "".join(f"{key} {'x'.join(map(str, variable.shape))}\n" for key, variable in state.items())
    tensors[f"{label}.names"] = torch.tensor(fnv(lines, 64) - 2**63)


def fill(network: torch.nn.Module, name_of=lambda key: key) -> None:
    for key, variable in network.state_dict().items():
        if variable.dtype != torch.float32:
            continue
        numbers = torch.from_numpy(value(fnv(name_of(key), 32), variable.numel())).reshape(variable.shape)
        with torch.no_grad():
            if variable.dim() == 4:  # variance 2 / fan-in
                variable.copy_(numbers * (6 / variable[0].numel()) ** 0.5)
            elif variable.dim() == 2:  # variance 1 / fan-in
                variable.copy_(numbers * (3 / variable[0].numel()) ** 0.5)
            elif key.endswith(("weight", "running_var")):
                variable.copy_(1 + 0.2 * numbers)
            else:
                variable.copy_(0.2 * numbers)


def note_features(label: str, network: torch.nn.Module) -> None:
    with torch.no_grad():
        tensors[f"{label}.eval"] = network.eval()(images(40, 36))[:, :64].clone()
        tensors[f"{label}.train"] = network.train()(images(40, 36))[:, :64].clone()


def without_classifier(network: torch.nn.Module) -> torch.nn.Module:
    network.fc = torch.nn.Identity()
    return network


# Deeper networks of torchvision; it has no ResNet-200, but the class to build it.
DEEP = {"resnet101": [3, 4, 23, 3], "resnet152": [3, 8, 36, 3], "resnet200": [3, 24, 36, 3]}
for name, blocks in DEEP.items():
    bottleneck = torchvision.models.resnet.Bottleneck
    network = without_classifier(torchvision.models.ResNet(bottleneck, blocks))
    note_names(name, network.state_dict())
    if name == "resnet101":
        fill(network)
        note_features(name, network)


# Group norm and weight standardisation: torchvision's network with timm's convolution.
def standardized(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Conv2d):
            shape = (child.in_channels, child.out_channels, child.kernel_size, child.stride, child.padding)
            setattr(module, name, StdConv2d(*shape, bias=False, eps=1e-10))
        standardized(child)


network = without_classifier(torchvision.models.resnet50(norm_layer=lambda count: torch.nn.GroupNorm(16, count)))
standardized(network)
note_names("resnet50.group_norm", network.state_dict())
fill(network)
note_features("resnet50.group_norm", network)


# Pre-activation: timm's networks; their variables under torchvision's names for the same layers.
def torchvision_name(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "stem":
        return f"conv1.{parts[-1]}"
    if parts[0] == "norm":
        return key
    _, stage, _, block, layer, *rest = parts
    layer = layer.replace("norm", "bn")
    rest = ["0", rest[-1]] if layer == "downsample" else rest
    return ".".join([f"layer{int(stage) + 1}", block, layer, *rest])


for name in ("resnet18", "resnet50"):
    network = timm.create_model(f"resnetv2_{name[6:]}", num_classes=0)
    fill(network, torchvision_name)
    note_features(f"{name}.v2", network)
    tensors[f"{name}.v2.running_mean"] = network.norm.running_mean[:64].clone()

# Vision transformers.
for name in ("vit_small", "vit_base"):
    note_names(name, timm.create_model(f"{name}_patch16_224", num_classes=0).state_dict())
network = timm.create_model("vit_small_patch16_224", num_classes=0, img_size=48, dynamic_img_size=True).eval()
fill(network)
with torch.no_grad():
    tensors["vit_small.eval"] = network(images(48, 48))[:, :64].clone()
    tensors["vit_small.other_size"] = network(images(32, 64))[:, :64].clone()
    tensors["vit_small.patches"] = network.forward_features(images(48, 48))[:, 1:].mean(1)[:, :64].clone()



# TorchScript files, without the debugging records, which name the folder that they were written in.
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, stride=2, bias=False)
        self.bn = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 6)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).mean([2, 3]))


class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)

    def forward(self, x):
        y = self.fc(x.mean([2, 3]))
        return y, y


def save(module: torch.jit.ScriptModule, name: str) -> None:
    written = io.BytesIO()
    torch.jit.save(module, written)
    (HERE / "torchscript").mkdir(exist_ok=True)
    with zipfile.ZipFile(written) as before, zipfile.ZipFile(HERE / "torchscript" / name, "w") as after:
        for member in before.infolist():
            if not member.filename.endswith(".debug_pkl"):
                after.writestr(zipfile.ZipInfo(member.filename), before.read(member))


network = Network()
fill(network)
save(torch.jit.script(network), "network.pt")
save(torch.jit.freeze(torch.jit.script(network.eval())), "frozen.pt")
torch.manual_seed(0)
save(torch.jit.script(torch.nn.Conv2d(3, 5, 3, stride=2, padding=1)), "map.pt")
save(torch.jit.script(Pair()), "pair.pt")
dropout = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Dropout(0.5)
)
save(torch.jit.script(dropout), "dropout.pt")
tensors["torchscript.eval"] = network(images(40, 36))
trained = network.train()(images(40, 36))
(trained * trained).sum().backward()
tensors["torchscript.train"] = trained
tensors["torchscript.gradient"] = network.conv.weight.grad
tensors["torchscript.running_mean"] = network.bn.running_mean.clone()

header, data = {}, b""
for key, tensor in tensors.items():
    array = tensor.detach().numpy()
    kind = {"float32": "F32", "int64": "I64"}[str(array.dtype)]
    raw = np.ascontiguousarray(array).tobytes()
    header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
(HERE / "encoder_reference.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
