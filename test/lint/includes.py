"""Checks every include of compiler/, dialects/ and runtime/ against arrows.txt."""
import os
import re

from tree import Tree, place

INCLUDE = re.compile(r'^[ \t]*#?include[ \t]+(?:"([^"]+)"|<((?:CLI|llvm|mlir)/[^>]+)>)', re.M)


def readArrows():
    arrows = {}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "arrows.txt"), encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                who, whom = line.split("->")
                arrows.setdefault(who.strip(), set()).update(whom.split())
    return arrows


def within(path, area):
    return path == area or path.startswith(area + "/")


def main():
    tree, arrows = Tree(), readArrows()
    for path in tree.paths:
        if not path.startswith(("compiler/", "dialects/", "runtime/")):
            continue
        if not path.endswith((".h", ".cpp", ".def", ".td")):
            continue
        owner = max((a for a in arrows if within(path, a)), key=len, default=None)
        if owner is None:
            tree.problem(path, "arrows.txt does not say what this may include")
            continue
        text = tree.read(path)
        for m in INCLUDE.finditer(text):
            target = m[1] or m[2]
            library = target.split("/")[0]
            if library in ("mlir", "llvm", "CLI"):
                allowed = library.lower() in arrows[owner]
            else:
                # Generated headers lie beside what they are generated from.
                if not target.endswith(".inc") and not tree.exists(target):
                    tree.problem(place(path, text, m.start()),
                                 f'"{target}" is not a path from the root of the repository')
                    continue
                allowed = within(target, owner) or any(within(target, a) for a in arrows[owner])
            if not allowed:
                tree.problem(place(path, text, m.start()),
                             f"{owner} may not include {target} (test/lint/arrows.txt)")
    tree.finish()


main()
