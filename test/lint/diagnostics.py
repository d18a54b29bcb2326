"""Codes of diagnostics: what compiler/ raises is registered in Diags.def, and has a golden message in a
folder called errors under test/, or in test/cli; what is registered is raised."""
import re

from tree import Tree, place

REGISTRY = "compiler/diag/Diags.def"

# Registered, but raised by nothing, and why.
NOT_RAISED = {}


def raisedCodes(tree):
    """code -> the first place that raises it: codes in string literals, comments left out."""
    found = {}
    for path in tree.paths:
        if not path.startswith("compiler/") or not path.endswith((".cpp", ".h")):
            continue
        text = tree.read(path)
        for m in re.finditer(r'"(?:\\.|[^"\\\n])*"|//[^\n]*', text):
            if m[0][0] == '"':
                for code in re.findall(r"\bE\d{4}\b", m[0]):
                    found.setdefault(code, place(path, text, m.start()))
    return found


def registered(tree):
    return re.findall(r"^R1_DIAG\((E\d{4}),", tree.read(REGISTRY), re.M)


def golden(tree):
    return {code for path in tree.paths
            if re.match(r"test/(.*/errors|cli)/.*\.expected$", path)
            for code in re.findall(r"^(?:error|warning|note)\[(E\d{4})\]", tree.read(path), re.M)}


def main():
    tree = Tree()
    codes, raised, tested = registered(tree), raisedCodes(tree), golden(tree)
    for code in sorted({c for c in codes if codes.count(c) > 1}):
        tree.problem(REGISTRY, f"{code} is registered twice")
    if codes != sorted(codes):
        tree.problem(REGISTRY, "the codes are not in order")
    for code, where in sorted(raised.items()):
        if code not in codes:
            tree.problem(where, f"{code} is not in {REGISTRY}")
        elif code not in tested:
            tree.problem(where, f"{code} has no golden message under test/**/errors")
    for code in codes:
        if code not in raised and code not in NOT_RAISED:
            tree.problem(REGISTRY, f"nothing raises {code}")
    for code in sorted(NOT_RAISED):
        if code in raised:
            tree.problem("test/lint/diagnostics.py", f"{code} need not be an exception any more")
    tree.finish()


if __name__ == "__main__":
    main()
