# Configuration of the text tests: `lit-22 test`. Tools are looked for in build/bin (or in the
# directory named by the parameter `bin`: lit-22 -Dbin=build-asan/bin test).
import os
import shutil
import subprocess
import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
tools = os.path.abspath(lit_config.params.get("bin", os.path.join(root, "build", "bin")))

config.name = "r1"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".mlir", ".r1", ".test"]
# Inputs of other tests, programs that are only measured, and seeds of the fuzzer.
config.excludes = ["Inputs", "corpus", "fuzz", "tools", "bench"]
config.test_source_root = os.path.join(root, "test")
# What the tests write: beside the tools, or where the parameter `output` says, so that two runs in
# one checkout do not meet.
config.test_exec_root = os.path.abspath(
    lit_config.params.get("output", os.path.join(os.path.dirname(tools), "test-output")))

config.environment["PATH"] = os.pathsep.join(
    [tools, "/usr/lib/llvm-22/bin", os.environ.get("PATH", "")])
# `%golden EXPECTED COMMAND...` compares all that a command prints; R1_UPDATE=1 rewrites EXPECTED.
config.environment["R1_UPDATE"] = os.environ.get("R1_UPDATE", "")
config.substitutions.append(("%golden", os.path.join(root, "test", "tools", "golden")))
config.substitutions.append(("%root", root))
config.substitutions.append(("%bin", tools))


def found(*names):
    """The first of these programs that this machine has."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    return None


filecheck = found("FileCheck-22", "FileCheck")
if filecheck is None:
    lit_config.fatal("FileCheck-22 is missing; ./setup.sh test installs it")
config.substitutions.append((r"\bFileCheck\b", filecheck))

# A test of a tool that is not built yet is reported as unsupported, not as failed.
for tool in ["r1c", "r1-opt", "r1-syntax"]:
    if os.path.exists(os.path.join(tools, tool)):
        config.available_features.add(tool)
# Plugins are built where their library is found.
for plugin in ["nvrtc", "mpi"]:
    if os.path.exists(os.path.join(os.path.dirname(tools), "lib", f"libr1_{plugin}.so")):
        config.available_features.add(plugin)
# Packages that some tests compare with; where they are not installed these are reported as unsupported.
for package in ["numpy"]:
    if subprocess.run(["python3", "-c", "import " + package], capture_output=True).returncode == 0:
        config.available_features.add(package)
# Stand-ins for libraries of machines with a GPU (test/fakes), for tests that set their paths.
fakes = os.path.join(os.path.dirname(tools), "fakes")
config.substitutions.append(("%fakes", fakes))
for name, file in (("cuda", "libcuda.so.1"), ("cublaslt", "libcublasLt.so.13"), ("nccl", "libnccl.so.2")):
    if os.path.exists(os.path.join(fakes, name, file)):
        config.available_features.add("fake-" + name)

# May this user mount a file system of a fixed size in a namespace of its own?
probe = "mount -t tmpfs -o size=1m none /mnt"
try:
    if subprocess.run(["unshare", "-rm", "sh", "-c", probe], capture_output=True).returncode == 0:
        config.available_features.add("mounts")
except OSError:
    pass
