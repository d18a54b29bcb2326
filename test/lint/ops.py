"""Every op of the two dialects has a description with an example."""
import re

from tree import Tree, place

FILES = ["dialects/r1/R1Ops.td", "dialects/kern/KernOps.td"]

# Ops without an example, and why.
WITHOUT_EXAMPLE = {}


def ops(text):
    """(name, its definition, offset) of each op."""
    starts = list(re.finditer(r'^def \w+ : (R1|Kern)_Op<"(\w+)"', text, re.M))
    for m in starts:
        end = text.find("\ndef ", m.end())
        yield f"{m[1].lower()}.{m[2]}", text[m.start():end if end >= 0 else len(text)], m.start()


def main():
    tree = Tree()
    for path in FILES:
        text = tree.read(path)
        for name, body, offset in ops(text):
            where = place(path, text, offset)
            prose = re.search(r"let description = \[\{(.*?)\}\]", body, re.S)
            has = prose is not None and "Example" in prose[1] and name in prose[1]
            if not has and name not in WITHOUT_EXAMPLE:
                tree.problem(where, f"{name} has no description with an example")
            if has and name in WITHOUT_EXAMPLE:
                tree.problem(where, f"{name} need not be an exception of test/lint/ops.py any more")
    tree.finish()


if __name__ == "__main__":
    main()
