#!/bin/bash
# A job that runs one command of cropcube, which submits the jobs of its workers and ends them (dask-jobqueue):
#
#   sbatch deploy/slurm/driver.sh build -p /scratch/india --region india --season 2024 --cluster slurm --workers 2:40
#
# What workers' jobs ask for (queue, account, cores, walltime) stands in [cluster.options] of the project's
# cropcube.toml, or in ~/.config/dask/jobqueue.yaml. This job does next to nothing, but for as long as the whole run.
#SBATCH --job-name=cropcube
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=2-00:00:00
#SBATCH --signal=B:INT@300
set -euo pipefail

# Five minutes before its time is over Slurm sends an interrupt, as Ctrl-C does: started tasks end, nothing new starts.
exec cropcube "$@" --quiet
