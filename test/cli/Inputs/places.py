"""places.py FILE.mlir...: every operation has its place in a .r1 file, but for what belongs to the
whole program: the module, buffers, and constants that several places share."""
import re
import sys

for path in sys.argv[1:]:
    known = 0
    for number, line in enumerate(open(path), 1):
        tail = line.rstrip().rsplit(" loc(", 1)
        if len(tail) < 2 or line.startswith("#loc"):
            continue
        if ".r1\":" in tail[1] or re.match(r"#loc\d", tail[1]):
            known += 1
        elif not re.search(r"^ *} ?$|^ *\^|^ *func\.func|kern\.buffer|r1\.scalar|constant", tail[0]):
            sys.exit(f"{path}:{number}: no place: {line}")
    if known < 50:
        sys.exit(f"{path}: only {known} operations have a place")
