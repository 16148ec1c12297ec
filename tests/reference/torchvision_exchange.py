"""The other side of trainer/tests/torchvision.rs: a torchvision ResNet-50 goes to Diptych and comes back.

    python torchvision_exchange.py write FOLDER      weights.safetensors, and expected.safetensors with images and features
    python torchvision_exchange.py read FOLDER       loads exported.safetensors with strict=True and compares everything

Needs torch and torchvision.
"""
import json
import pathlib
import struct
import sys

import torch
import torchvision

KINDS = {"F32": torch.float32, "I64": torch.int64}


def write(path: pathlib.Path, tensors: dict[str, torch.Tensor]) -> None:
    header, data = {}, b""
    for key, tensor in tensors.items():
        kind = next(name for name, kind in KINDS.items() if kind == tensor.dtype)
        raw = tensor.detach().contiguous().numpy().tobytes()
        header[key] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read(path: pathlib.Path) -> dict[str, torch.Tensor]:
    raw = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for key, entry in json.loads(raw[8 : 8 + length]).items():
        if key == "__metadata__":
            assert entry["format"] == "pt" and entry["encoder"] == "resnet50", entry
            continue
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(raw[8 + length + begin : 8 + length + end], dtype=KINDS[entry["dtype"]])
        tensors[key] = flat.reshape(entry["shape"])
    return tensors


torch.set_num_threads(1)
command, folder = sys.argv[1], pathlib.Path(sys.argv[2])
network = torchvision.models.resnet50()
if command == "write":
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 64, 64))
    write(folder / "weights.safetensors", network.state_dict())
    network.fc = torch.nn.Identity()
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        write(folder / "expected.safetensors", {"images": images, "features": network.eval()(images)})
else:
    network.fc = torch.nn.Identity()
    network.load_state_dict(read(folder / "exported.safetensors"), strict=True)
    original, expected = read(folder / "weights.safetensors"), read(folder / "expected.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, original[name]), name
    with torch.no_grad():
        assert torch.equal(network.eval()(expected["images"]), expected["features"])
    print(f"torchvision {torchvision.__version__} took all {len(network.state_dict())} tensors")
