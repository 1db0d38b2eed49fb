#!/bin/bash
# One job with several nodes, which runs one command of cropcube on workers that it starts on all of them:
#
#   COMMAND="build -p /scratch/india --region india --season 2024" qsub deploy/pbs/allocation.sh
#   COMMAND="features -p /scratch/india --kind harmonic" qsub deploy/pbs/allocation.sh
#
# For sites that forbid jobs to submit jobs, or grant whole nodes only. The project lies where all nodes see it.
#PBS -N cropcube
#PBS -V
#PBS -l select=4:ncpus=16:mem=120gb
#PBS -l place=scatter:excl
#PBS -l walltime=12:00:00
set -euo pipefail
cd "$PBS_O_WORKDIR"

# Seen by all nodes, unlike a node's own /tmp.
folder=$(mktemp -d "${CROPCUBE_SHARED:-$PWD}/cropcube-${PBS_JOBID%%.*}-XXXX")
started=()
end() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    wait || true
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 143' TERM

dask scheduler --scheduler-file "$folder/scheduler.json" --port 0 --no-dashboard &
started+=($!)
# pbsdsh starts it once on each node, with little of an environment: that of a login, and paths are given whole. A
# process for each processor: a task is one process's. Each has an even share of nine tenths of the memory; by itself
# dask would take one by the processors of the whole node.
share=$(awk "BEGIN { print 0.9 / $NCPUS }")
pbsdsh -- bash -lc "exec '$(command -v dask)' worker --scheduler-file '$folder/scheduler.json' --no-dashboard \
    --memory-limit $share --nworkers $NCPUS --nthreads 1 --local-directory '${TMPDIR:-/tmp}'" &
started+=($!)

until [ -s "$folder/scheduler.json" ]; do
    kill -0 "${started[0]}" || exit 1
    sleep 1
done
read -ra words <<<"$COMMAND"
cropcube "${words[@]}" --cluster "$folder/scheduler.json" --quiet
