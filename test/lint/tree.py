"""What every lint needs: the files of a tree, and the report at the end."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tree:
    """The tracked files of the repository, or all files of the folder given as first argument."""

    def __init__(self):
        self.root = sys.argv[1] if len(sys.argv) > 1 else ROOT
        self.problems = []
        if len(sys.argv) > 1 or not os.path.exists(os.path.join(self.root, ".git")):
            paths = [os.path.relpath(os.path.join(d, f), self.root)
                     for d, _, names in os.walk(self.root) for f in names
                     if not os.path.relpath(d, self.root).startswith(("build", ".git", ".r1"))]
        else:
            paths = subprocess.run(["git", "-C", self.root, "ls-files", "-z"], check=True, text=True,
                                   capture_output=True).stdout.split("\0")[:-1]
        self.paths = sorted(p for p in paths if os.path.isfile(os.path.join(self.root, p)))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
            return f.read()

    def exists(self, path):
        return os.path.exists(os.path.join(self.root, path))

    def problem(self, place, text):
        self.problems.append(f"{place}: {text}")

    def finish(self):
        for p in self.problems:
            print(p)
        sys.exit(1 if self.problems else 0)


def place(path, text, offset):
    return f"{path}:{text.count(chr(10), 0, offset) + 1}"
