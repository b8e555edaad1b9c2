"""What pyperformance's benchmarks import instead of the real pyperf: it times one process and prints its best time as JSON.

    PYTHONPATH=FOLDER PYTHON bm_NAME/run_benchmark.py [ARGUMENT…]   →   {"name": seconds per loop, …}

The real one starts dozens of processes per benchmark and interpreter, one interpreter after the other. Here the caller starts
the processes, all interpreters in turns, and times are the processor's, so that what else the machine does hits all of them
alike and as little as can be. BUDGET: seconds for each timing.
"""

import argparse
import asyncio
import json
import os
import time

perf_counter = time.process_time
BUDGET = float(os.environ.get("BUDGET", "0.3"))


def python_implementation():
    return "cpython"


class Runner:
    def __init__(self, *_, **__):
        self.argparser = argparse.ArgumentParser()
        self.metadata = {}
        self.args = None

    def parse_args(self):
        self.args = self.argparser.parse_args()
        return self.args

    def bench_time_func(self, name, timed, *args, inner_loops=1, **_):
        loops, best, end = 1, float("inf"), None
        while True:
            took = timed(loops, *args)
            if end is None:
                # The first runs fill caches and find out how many loops a tenth of the time is.
                if took < BUDGET / 10:
                    loops = loops * 2 if took < BUDGET / 40 else round(loops * BUDGET / 10 / took) + 1
                    continue
                end = perf_counter() + BUDGET
            best = min(best, took / loops / inner_loops)
            if perf_counter() >= end:
                break
        print(json.dumps({name: best}), flush=True)

    def bench_func(self, name, function, *args, inner_loops=1, **_):
        def timed(loops):
            start = perf_counter()
            for _ in range(loops):
                function(*args)
            return perf_counter() - start

        self.bench_time_func(name, timed, inner_loops=inner_loops)

    def bench_async_func(self, name, function, *args, loop_factory=None, inner_loops=1, **_):
        async def repeat(loops):
            start = perf_counter()
            for _ in range(loops):
                await function(*args)
            return perf_counter() - start

        def timed(loops):
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                return runner.run(repeat(loops))

        self.bench_time_func(name, timed, inner_loops=inner_loops)
