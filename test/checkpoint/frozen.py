"""frozen.py A B PREFIX NEW: which tensors of the artifact of stage A are, under PREFIX, the same in that of B; those
that B has beside them begin with NEW."""
import glob
import json
import struct
import sys


def tensors(stage):
    for path in glob.glob(".r1/*/manifest.json"):
        with open(path) as f:
            if json.load(f)["stage"] != stage:
                continue
        with open(path.replace("manifest.json", "model.safetensors"), "rb") as f:
            header = json.loads(f.read(*struct.unpack("<Q", f.read(8))))
            data = f.read()
        return {k: data[slice(*v["data_offsets"])] for k, v in header.items() if k != "__metadata__"}


a, b, prefix, new = tensors(sys.argv[1]), tensors(sys.argv[2]), sys.argv[3], sys.argv[4]
shared = [k for k in a if k in b or prefix + k in b]
changed = [k for k in shared if a[k] != b.get(k, b.get(prefix + k))]
print(f"{len(shared)} tensors of {sys.argv[1]} are in {sys.argv[2]}, of which {len(changed)} have changed")
print(f"{len([k for k in b if k.startswith(new)])} are in {sys.argv[2]} alone")
