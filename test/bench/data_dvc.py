#!/usr/bin/env python3
"""Does DVC accept the metadata that runtime/state/Dvc.h writes?

    pip install dvc && test/bench/data_dvc.py [--dvc PATH/TO/dvc]

In a fresh repository of DVC it writes .dvc files and a stage (dvc.yaml, dvc.lock) by `dvc-write` for files
and directories with awkward names, and then checks that
  - `dvc status` finds all up to date, and sees one changed byte, an added, a removed and a renamed file;
  - `dvc add` of the same data finds the same hashes, sizes and numbers of files;
  - `dvc repro` runs nothing, and after a change of a dependency would run the stage.
Prints a line for each check; exit code 1 if one fails.
"""
import argparse
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

NAMES = ["a.txt", "Z.txt", "sub", "sub x/b", "sub x.txt", 'quo"te', "back\\slash", "tab\there", "new\nline", "é",
         "法律/条款", "😀", ".hidden", "0x1f", "null", "# no comment", "deep/er/and/deeper/file"]
failures = 0


def check(what, good, detail=""):
    global failures
    failures += not good
    print(f"{'ok  ' if good else 'FAIL'} {what}{'' if good else ': ' + detail}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dvc", default="dvc")
    parser.add_argument("--bin", default="build/bin")
    args = parser.parse_args()
    writer = str(pathlib.Path(args.bin, "dvc-write").resolve())
    rng = random.Random(5)

    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)

        def dvc(*words):
            return subprocess.run([args.dvc, *words], cwd=root, capture_output=True, text=True)

        def write(*words):
            subprocess.run([writer, str(root), *words], check=True)

        def clean(what):
            r = dvc("status")
            check(what, r.returncode == 0 and "up to date" in r.stdout + r.stderr, r.stdout + r.stderr)

        def dirty(what, path):
            r = dvc("status")
            check(what, "modified" in r.stdout and path in r.stdout, r.stdout + r.stderr)

        print("dvc", dvc("--version").stdout.strip())
        dvc("init", "--no-scm", "-q")
        (root / "raw").mkdir()
        for name in NAMES:
            path = root / "raw" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(rng.randrange(3000)))
        (root / "raw/empty").mkdir()
        (root / "one file.bin").write_bytes(rng.randbytes(3_000_000))
        for path in ["raw", "one file.bin"]:
            write("add", path)
        clean("files and directories are up to date")

        target = root / "one file.bin"
        data = bytearray(target.read_bytes())
        data[1_234_567] ^= 1
        target.write_bytes(data)
        dirty("a changed byte of a file is seen", "one file.bin")
        data[1_234_567] ^= 1
        target.write_bytes(data)
        clean("and that it is as before")

        inner = root / "raw/法律/条款"
        data = bytearray(inner.read_bytes())
        data[-1] ^= 1
        inner.write_bytes(data)
        dirty("a changed byte within a directory is seen", "raw")
        data[-1] ^= 1
        inner.write_bytes(data)
        (root / "raw/added").write_text("x")
        dirty("an added file is seen", "raw")
        (root / "raw/added").unlink()
        shutil.move(root / "raw/a.txt", root / "raw/b.txt")
        dirty("a renamed file is seen", "raw")
        shutil.move(root / "raw/b.txt", root / "raw/a.txt")
        saved = (root / "raw/é").read_bytes()
        (root / "raw/é").unlink()
        dirty("a removed file is seen", "raw")
        (root / "raw/é").write_bytes(saved)
        clean("all is as before")

        def described(name):
            lines = [line.strip("- ").replace('"', "") for line in (root / name).read_text().splitlines()]
            return sorted(line for line in lines if line.split(":")[0] in ("md5", "size", "nfiles", "hash"))

        ours = [described("raw.dvc"), described("one file.bin.dvc")]
        (root / "raw.dvc").unlink()
        (root / "one file.bin.dvc").unlink()
        r = dvc("add", "-q", "raw", "one file.bin")
        theirs = [described("raw.dvc"), described("one file.bin.dvc")]
        check("`dvc add` writes the same hashes, sizes and counts", ours == theirs, f"{ours} {theirs} {r.stderr}")
        (root / "raw.dvc").unlink()
        (root / "one file.bin.dvc").unlink()

        (root / "clean").mkdir()
        (root / "clean/rows.jsonl").write_text('{"text":"x"}\n')
        command = "echo 'it ran: \"yes\"' > ran"
        write("stage", "clean-1", command, "raw", "one file.bin", "--", "clean")
        clean("a stage is up to date")
        r = dvc("repro")
        check("`dvc repro` has nothing to run", r.returncode == 0 and not (root / "ran").exists(), r.stdout + r.stderr)
        (root / "clean/rows.jsonl").write_text('{"text":"y"}\n')
        dirty("a changed output is seen", "clean")
        (root / "clean/rows.jsonl").write_text('{"text":"x"}\n')
        inner.write_bytes(b"changed")
        dirty("a changed dependency is seen", "raw")
        r = dvc("repro", "--dry")
        check("and `dvc repro` would run the stage", "clean-1" in r.stdout and command in r.stdout, r.stdout + r.stderr)
    return 1 if failures else 0


sys.exit(main())
