#!/bin/sh
# What is said when nothing fits: not even what does not depend on the batch, and all but one row of
# it. N stands for the sizes, which change with every kernel.
for limit in 100KB 300KB; do
  echo "memory = $limit"
  r1c compile test/cli/Inputs/tiny.r1:gpt --set memory=$limit --emit=plan --threads 1 2>&1 >/dev/null |
    sed -E 's/[0-9.]+ [KMG]B/N/g'
done
