"""Relative links of *.md files lead somewhere, to a heading too where they name one; and what a tree at
the top of a README lists exists."""
import os
import re

from tree import Tree, place

# Links to headings use the usual rule: lower case, punctuation dropped, spaces to dashes.
def anchors(text):
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", h.lower())).strip("-")
            for h in re.findall(r"^#+ +(.+?) *$", text, re.M)}


def main():
    tree = Tree()
    for path in tree.paths:
        if not path.endswith(".md"):
            continue
        text = tree.read(path)
        for m in re.finditer(r"\[[^\]\n]*\]\(([^)\s]+)\)", text):
            target, _, anchor = m[1].partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            if not tree.exists(file):
                tree.problem(place(path, text, m.start()), f"{m[1]} does not exist")
            elif anchor and file.endswith(".md") and anchor not in anchors(tree.read(file)):
                tree.problem(place(path, text, m.start()), f"{file} has no heading #{anchor}")
        # A line of a tree: a name with a slash or an extension, two spaces or more, a sentence.
        for m in re.finditer(r"^    ( *)([\w.-]+(?:/|\.(?:md|h|cpp|td|def|r1|py|sh))) {2,}\S", text, re.M):
            listed = os.path.join(os.path.dirname(path), m[2])
            if not m[1] and listed not in tree.paths and not any(p.startswith(listed) for p in tree.paths):
                tree.problem(place(path, text, m.start()), f"{m[2]} is listed and does not exist")
    tree.finish()


main()
