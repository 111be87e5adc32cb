"""What OpenMP's threads cost that spin while they wait: training steps of preset tiny on a CPU.

`python bench/waiting_threads.py [PAIRS]` runs steps as torch would by itself and as our commands do
(`shards.environment.settle`), in pairs, one after the other in turns, first as the machine is, then
beside as many busy processes as there are cores. Printed are medians of the pairs' ratios; above 1
ours is faster. A machine with other work is not quiet: the load is printed as well.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time

SECONDS = 4  # for which steps are taken
_POLICY = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
WAYS = ("torch alone", "ours")


def steps_a_second(way: str) -> float:
    """Of a process of its own, which has the variables of `way` before it imports torch."""
    environ = {k: v for k, v in os.environ.items() if k not in (*_POLICY, "OMP_NUM_THREADS")}
    command = [sys.executable, __file__, "--steps", way]
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    return float(done.stdout)


def take_steps(way: str) -> None:
    """Print the steps a second of forward, losses and backward."""
    if way == "ours":
        from shards.environment import limit_threads, settle

        settle()
        limit_threads()
    import torch

    from idol.config import preset
    from idol.encoders import foreground_tokens
    from idol.losses import LossConfig, training_losses
    from idol.model.cost import build, example_inputs

    config = preset("tiny")
    tokens = foreground_tokens("tiny", config)
    torch.manual_seed(0)
    model = build(config, "video", "cpu")
    inputs = example_inputs(config, "video", frames=4, size=16, tokens=tokens, device="cpu")

    def step() -> None:
        output = model(**inputs, return_features=True)
        noise = torch.zeros_like(output.noise_pred_BMFCHW)
        losses = training_losses(output.noise_pred_BMFCHW, noise, output.features, LossConfig())
        losses.total.backward()

    step()  # warms up
    started = time.perf_counter()
    taken = 0
    while time.perf_counter() - started < SECONDS:
        step()
        taken += 1
    print(taken / (time.perf_counter() - started))


def burn() -> None:
    """Keep a core busy."""
    while True:
        pass


def main(pairs: int) -> None:
    cores = len(os.sched_getaffinity(0))
    for beside in (0, cores):
        busy = [multiprocessing.Process(target=burn, daemon=True) for _ in range(beside)]
        for process in busy:
            process.start()
        try:
            ratios = []
            for number in range(pairs):
                # In turns, so that what else the machine does falls on both.
                order = WAYS if number % 2 == 0 else WAYS[::-1]
                found = {way: steps_a_second(way) for way in order}
                ratios.append(found["ours"] / found["torch alone"])
                rates = ", ".join(f"{way} {found[way]:.2f}" for way in WAYS)
                print(f"  steps a second: {rates}; ratio {ratios[-1]:.2f}", flush=True)
        finally:
            for process in busy:
                process.kill()
        where = f"beside {beside} busy processes on {cores} cores"
        print(
            f"{where} (load {os.getloadavg()[0]:.1f}): ours is {statistics.median(ratios):.2f} "
            f"times as fast, {min(ratios):.2f} to {max(ratios):.2f} in {pairs} pairs"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--steps"]:
        take_steps(sys.argv[2])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 5)
