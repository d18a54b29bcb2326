#!/usr/bin/env python3
"""Writes the ```r1 blocks of a Markdown file as DIR/NN.r1, padded with empty lines so that
line numbers in messages are those of the Markdown file.

usage: snippets.py FILE.md DIR"""
import os
import sys


def main(path, folder):
    os.makedirs(folder, exist_ok=True)
    block, count = None, 0
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if block is None and line.rstrip() == "```r1":
                block = ["\n"] * number
            elif block is not None and line.rstrip() == "```":
                with open(os.path.join(folder, f"{count:02}.r1"), "w", encoding="utf-8") as out:
                    out.writelines(block)
                block, count = None, count + 1
            elif block is not None:
                block.append(line)
    if block is not None:
        sys.exit(f"{path}: a block without end")
    print(f"{count} blocks")


main(*sys.argv[1:3])
