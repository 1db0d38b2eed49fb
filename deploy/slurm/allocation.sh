#!/bin/bash
# One job with several nodes, which runs one command of cropcube on workers that it starts on all of them:
#
#   sbatch --nodes 4 deploy/slurm/allocation.sh build -p /scratch/india --region india --season 2024
#   sbatch --nodes 4 deploy/slurm/allocation.sh features -p /scratch/india --kind harmonic
#
# For sites that forbid jobs to submit jobs, or grant whole nodes only. The project lies where all nodes see it.
#SBATCH --job-name=cropcube
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=12:00:00
set -euo pipefail

# Seen by all nodes, unlike a node's own /tmp.
folder=$(mktemp -d "${CROPCUBE_SHARED:-$PWD}/cropcube-$SLURM_JOB_ID-XXXX")
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
# A process for each processor: a task is one process's. Each has an even share of nine tenths of the memory; by itself
# dask would take one by the processors of the whole node. srun takes their number from a variable of its own since 22.05.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
share=$(awk "BEGIN { print 0.9 / $SLURM_CPUS_PER_TASK }")
srun dask worker --scheduler-file "$folder/scheduler.json" --no-dashboard --memory-limit "$share" \
    --nworkers "$SLURM_CPUS_PER_TASK" --nthreads 1 --local-directory "${TMPDIR:-/tmp}" &
started+=($!)

until [ -s "$folder/scheduler.json" ]; do
    kill -0 "${started[0]}" || exit 1
    sleep 1
done
cropcube "$@" --cluster "$folder/scheduler.json" --quiet
