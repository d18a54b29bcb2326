#!/bin/sh
# exits.sh CODE COMMAND...: runs the command, all it prints to standard output; fails unless it ends
# with this exit code.
want=$1; shift
"$@" 2>&1
got=$?
[ $got = "$want" ] || { echo "exits.sh: exit code $got instead of $want: $*" >&2; exit 1; }
