"""Changes one bit in the middle of each file."""
import sys

for name in sys.argv[1:]:
    with open(name, "r+b") as f:
        data = bytearray(f.read())
        data[len(data) // 2] ^= 1
        f.seek(0)
        f.write(data)
