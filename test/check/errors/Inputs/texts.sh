# Each is a text that lacks its quotes, or a name that is no text.
file=test/check/errors/Inputs/set.r1
for set in file=t.txt file=data/my-file.txt 'file=a b.txt' sft.loss=t.txt data.path=a.txt; do
  echo "--set $set"
  r1-check $file --elaborate --no-files --set "$set" | head -12
done
