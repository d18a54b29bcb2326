# What mpi.test looks at. The lines of the ranks are sorted; what the launcher adds is left out.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# The test may itself run on a machine of a batch system.
unset SLURM_JOB_ID SLURM_NTASKS SLURM_STEP_ID

start() {
  n=$1
  shift
  timeout -k 1 40 mpirun --oversubscribe --bind-to none "$@" -n "$n" comm-check $WHAT </dev/null 2>&1
}

export WHAT=sum
start 1
echo "1 rank: exit $?"
start 2
echo "2 ranks: exit $?"
start 4
echo "4 ranks: exit $?"

# What the ranks say; the launcher lets them live, so that all have their say.
export COMM_SILENCE=2
alive="--mca orte_abort_on_non_zero_status 0 --mca orte_allowed_exit_without_sync 1"
for WHAT in "leave 1" "abort 2" "differ 0" "stop 2" "pause 3" "exit 1"; do
  echo "$WHAT"
  # Ends a rank that still hangs.
  [ "$WHAT" = "stop 2" ] && flags="" || flags=$alive
  start 4 $flags | grep '^rank ' | grep -v '^rank \(.\): rank \1 of 4' | sort
done
WHAT="die 1"
echo "$WHAT"
{
  start 4
  echo "exit $?"
} | grep -E 'signal 9|^exit'

echo alone
WHAT=sum
PMI_SIZE=4 PMI_RANK=3 comm-check sum 2>&1
echo "exit $?"
