#!/bin/bash
# A job that runs one command of cropcube, which submits the jobs of its workers and ends them (dask-jobqueue):
#
#   COMMAND="build -p /scratch/india --region india --season 2024 --cluster pbs --workers 2:40" qsub deploy/pbs/driver.sh
#
# What workers' jobs ask for (queue, account, resource_spec, walltime) stands in [cluster.options] of the project's
# cropcube.toml, or in ~/.config/dask/jobqueue.yaml. This job does next to nothing, but for as long as the whole run.
#PBS -N cropcube
#PBS -V
#PBS -l select=1:ncpus=1:mem=4gb
#PBS -l walltime=48:00:00
set -euo pipefail
cd "$PBS_O_WORKDIR"

read -ra words <<<"$COMMAND"
exec cropcube "${words[@]}" --quiet
