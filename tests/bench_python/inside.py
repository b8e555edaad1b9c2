"""The measurement, inside the folder that tests/bench_python.py has made: all interpreters in turns, the best time of each.

    inside.py ROUNDS NAME=PROGRAM…   the first one is the one that the others are compared with

Prints a line per measurement as it comes (JSON: what, who, seconds); the caller makes the table.
"""

import json
import os
import subprocess
import sys

BENCHMARKS = """
argparse async_generators async_tree asyncio_tcp barnes_hut base64 chaos comprehensions coroutines decimal_pi deepcopy deltablue
fannkuch float gc_traversal generators go hexiom json_dumps json_loads logging mdp nbody nqueens pathlib pickle pprint pyflate
raytrace regex_compile regex_effbot regex_v8 richards scimark spectral_norm sqlite_synth telco typing_runtime_protocols
unpack_sequence xml_etree
""".split()
# Each pattern or mode is a benchmark of its own in pyperformance; one of them is enough here.
ARGUMENTS = {
    "async_tree": ["none"],
    "argparse": ["many_optionals"],
    "logging": ["simple"],
    "pickle": ["pickle"],
    "scimark": ["lu"],
}
STARTS = {
    "start: pass": "pass",
    "start: import boto3": "import boto3",
    "start: boto3.client": "import boto3; boto3.client('s3', region_name='eu-west-1')",
}
FOLDER = "/bench/benchmarks"
# Switches a JIT on where there is one.
SWITCHES = {"PATH": "/usr/bin", "PYTHON_JIT": "1"}


def report(what, who, seconds):
    print(json.dumps([what, who, seconds]), flush=True)


def benchmark(name, who, program, number):
    path = f"{FOLDER}/bm_{name}/run_benchmark.py"
    environment = SWITCHES | {"PYTHONPATH": "/bench/harness", "PYTHONHASHSEED": str(number), "BUDGET": os.environ["BUDGET"]}
    ran = subprocess.run([program, path, *ARGUMENTS.get(name, [])], env=environment, capture_output=True, text=True, timeout=120)
    if ran.returncode:
        print(f"{name} with {who}: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    for line in ran.stdout.splitlines():
        if line.startswith("{"):
            for found, seconds in json.loads(line).items():
                report(found, who, seconds)


def start(statement, program):
    environment = SWITCHES | {"PYTHONPATH": "/bench/site", "HOME": "/tmp"}
    child = os.posix_spawn(program, [program, "-c", statement], environment)
    _, status, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime if status == 0 else None


def main():
    rounds, interpreters = int(sys.argv[1]), [argument.split("=", 1) for argument in sys.argv[2:]]
    for number in range(rounds):
        for what, statement in STARTS.items():
            for _ in range(15):
                for who, program in interpreters:
                    seconds = start(statement, program)
                    if seconds is None:
                        print(f"{what} fails with {who}", file=sys.stderr)
                    else:
                        report(what, who, seconds)
        for name in BENCHMARKS:
            # Whoever comes first pays for cold files.
            for who, program in interpreters[number % len(interpreters) :] + interpreters[: number % len(interpreters)]:
                benchmark(name, who, program, number)


if __name__ == "__main__":
    main()
