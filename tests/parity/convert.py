"""Turn reference arrays (.npz) into the safetensors files that the parity tests read.

usage: python3 convert.py FOLDER_OF_NPZ [OUTPUT_FOLDER]

Needs numpy alone. Arrays keep their names, dtypes and values; which of them are kept is the table below.
"""
import json
import pathlib
import struct
import sys

import numpy as np

# file -> (source, prefixes or names of the arrays to keep)
KEPT = {
    "processes": ("processes", ("t", "ou/", "ve_const/", "ve_kappa/", "vp/")),
    "rk45": ("rk45", ("decay", "oscillator", "vanderpol", "backward")),
    "ward": ("ward", ("points", "merge_heights", "threshold")),
    "energy": ("energy", ("points", "am/", "patterns9", "mixture/K9/")),
    "mixture_likelihood": ("mixture_likelihood", ("patterns", "x", "logp", "nfev", "t_steps", "eps", "prior_std")),
}
DERIVATIVES = ("w/", "in/", "fwd/", "jac/", "hutch/", "div/", "ism/", "ssm/", "dsm/")
for network in ("nano", "ou2", "ou4", "circle", "heat_plain", "heat_embed"):
    for dtype in ("f64", "f32"):
        KEPT[f"derivatives_{network}_{dtype}"] = (f"net_{network}_{dtype}", DERIVATIVES)
        KEPT[f"sampling_{network}_{dtype}"] = (f"net_{network}_{dtype}", ("w/", "samp/", "lik", "heunlik/"))
        KEPT[f"training_{network}_{dtype}"] = (f"net_{network}_{dtype}", ("w/", "opt/"))
for dtype in ("f64", "f32"):
    for network in ("triangles", "rings", "circle", "heat_plain", "heat_embed", "nano"):
        KEPT[f"full_{network}_{dtype}"] = (f"full_{network}_{dtype}", ("batch", "order", "fwd/", "jac/", "dsm/", "ism/", "adam/"))
    KEPT[f"smeme_{dtype}"] = (f"smeme_{dtype}", ("x", "t", "teacher", "student", "loss", "prox", "direction", "grad/", "adamw/"))
    KEPT[f"trained_circle_{dtype}"] = (f"trained_circle_{dtype}", ("w/", "patterns", "points", "t", "lik", "em/"))

DTYPES = {np.dtype("float32"): "F32", np.dtype("float64"): "F64", np.dtype("int32"): "I32"}


def write(path, arrays):
    header, offset = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": DTYPES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in arrays.values()))


def plain(arrays):
    """Without what safetensors cannot hold: a list of "name [shape]" becomes one array of extents a name, numbered."""
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            for i, entry in enumerate(array):
                tensor, shape = entry.split(" ", 1)
                yield f"{name}/{i:02}/{tensor}", np.array(json.loads(shape), np.int32)
        else:
            yield name, array.astype(np.int32) if array.dtype.kind == "i" else array


def main():
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).parent
    for name, (file, kept) in KEPT.items():
        arrays = np.load(source / f"{file}.npz")
        chosen = {k: np.ascontiguousarray(arrays[k]).reshape(arrays[k].shape) for k in arrays.files if k.startswith(kept)}
        write(target / f"{name}.safetensors", dict(plain(chosen)))


if __name__ == "__main__":
    main()
