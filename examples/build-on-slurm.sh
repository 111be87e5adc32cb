#!/bin/bash
# A build on a Slurm cluster: sbatch build-on-slurm.sh SOURCE OUT
#
# SOURCE and OUT are folders that all nodes share, or URLs (s3://...); idol-prep is installed in the
# same environment on all of them. Two minutes before the time is over the build is told to end, in
# order; submit the same again, as often as it takes: `singleton` lets one job run at a time, and
# each goes on where the one before stopped. `--requeue` does so for nodes that fail.
#SBATCH --job-name idol-prep --dependency singleton --requeue --open-mode append
#SBATCH --nodes 4 --ntasks-per-node 1 --cpus-per-task 64
#SBATCH --time 24:00:00 --signal TERM@120
set -euo pipefail
source_of_videos=$1
out=$2

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# The node that runs the build keeps two cores for it.
workers=$((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK - 2))

# srun takes no --cpus-per-task from sbatch since Slurm 22.05.
srun --cpus-per-task "$SLURM_CPUS_PER_TASK" ray symmetric-run \
  --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" --object-store-memory 1000000000 -- \
  idol-prep build --dataset videos --source "$source_of_videos" --out "$out" \
  --address auto --workers "$workers" --metrics "$HOME/idol-prep-$SLURM_JOB_ID.prom"
