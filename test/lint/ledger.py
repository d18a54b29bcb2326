"""Counts: lines of each folder, ops, phases, flags, diagnostics. Prints and never fails: growth is to be
seen, not forbidden."""
import re
from collections import Counter

import diagnostics
import ops
from tree import Tree

SOURCES = (".h", ".cpp", ".def", ".td", ".r1", ".py", ".test", ".mlir", ".sh", ".md", ".expected")


def main():
    tree = Tree()
    lines, files, long = Counter(), Counter(), []
    for path in tree.paths:
        if not path.endswith(SOURCES):
            continue
        parts = path.split("/")
        n = tree.read(path).count("\n")
        for area in {parts[0] if len(parts) > 1 else ".", "/".join(parts[:2]) if len(parts) > 2 else ""}:
            lines[area] += n
            files[area] += 1
        if n > 500 and path.endswith((".h", ".cpp")):
            long.append((n, path))
    print(f"{'lines':>7} {'files':>6}")
    for area in sorted(lines):
        if area:
            print(f"{lines[area]:7} {files[area]:6}  {'  ' if '/' in area else ''}{area}")
    for n, path in sorted(long, reverse=True):
        print(f"long: {path}, {n} lines")
    for path in ops.FILES:
        print(f"{len(list(ops.ops(tree.read(path)))):7} ops      {path}")
    print(f"{len(re.findall(r'^R1_PHASE', tree.read('compiler/Phases.def'), re.M)):7} levels   --emit")
    flags = set(re.findall(r'add_(?:option|flag)\("(?:-\w,)?(-+[\w-]+)', tree.read("compiler/tools/r1c/main.cpp")))
    commands = re.findall(r'add_subcommand\("(\w+)"', tree.read("compiler/tools/r1c/main.cpp"))
    print(f"{len(commands):7} commands of r1c, {len(flags)} flags")
    codes, raised, tested = diagnostics.registered(tree), diagnostics.raisedCodes(tree), diagnostics.golden(tree)
    print(f"{len(codes):7} diagnostics, {len(raised)} raised, {len(tested)} with a golden message")
    print("        never raised: " + " ".join(c for c in codes if c not in raised))


main()
