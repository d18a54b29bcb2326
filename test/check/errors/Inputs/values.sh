# Values of --set that do not parse; the last has a regex that does not compile.
file=test/check/errors/Inputs/set.r1
for set in sft.lr=1e- sft.lr= 'D=3 4' 'D=1 +' 'sft.lr=cosine(1e-3' 'sft.lr=1e-3)' 'file="a.txt' \
  file=/data/a.txt file=../*.txt memory=16kB 'D=@ % 2' \
  'file=replace(re"(", "a", "b")'; do
  r1-check $file --elaborate --no-files --set "$set"
done
