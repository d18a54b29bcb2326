# Each line is one --set; what it gives follows.
file=test/check/errors/Inputs/set.r1
try() {
  echo "--set $1"
  r1-check $file --elaborate --no-files --set "$1" | grep -v '^  leaf' | grep -E "error|=|-->|┌|│" | grep -E "error|help|= .*has|^  (D|batch|lr|optim|budget|clip|on) |^ *on|\^" || true
}
try sft.optimizer.lr=3e-4
try sfd.lr=3e-4
try sft.lr.form=3e-4
try sft.lr=3e-4
try sft.lr.from=3e-4
try opt.decay=0.5
try sft.optim.decay=0.2
try sft.budget=3epochs
try sft.budget=3
try D=16
try 'D=1 +'
try nonsense
try sft.on.memory=8GB
try 'sft.on=device(memory = 8GB)'
try sft.optim.init=3
