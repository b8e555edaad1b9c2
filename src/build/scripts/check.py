"""Whether an interpreter is what its recipe says: asks itself, prints what is wrong, ends with 1 then.

The modules that are part of it are to be these, exactly: one that configure silently gave up on is a broken function later.
"""
import os
import subprocess
import sys
import sysconfig

jit, free_threading = os.environ["JIT"], os.environ["FREE_THREADING"]
failures = []
wanted, found = set(os.environ["MODULES"].split()), set(sys.builtin_module_names)
if wanted != found:
    failures.append(f"modules missing: {sorted(wanted - found)}, modules not expected: {sorted(found - wanted)}")
shared = os.listdir(f"{sysconfig.get_path('stdlib')}/lib-dynload")
if shared:
    failures.append(f"modules that should be built in are shared: {shared}")

import bz2, ctypes, curses, curses.panel, decimal, hashlib, lzma, multiprocessing, readline, sqlite3, ssl, time, uuid, zlib, _uuid, pyexpat

def check(what, ok):
    if not ok:
        failures.append(what)

variable = sysconfig.get_config_var
check("free threading is not what the recipe says", bool(variable("Py_GIL_DISABLED")) == (free_threading == "enabled"))
check("the lock is not what free threading says", getattr(sys, "_is_gil_enabled", lambda: True)() == (free_threading == "disabled"))
check("the JIT is not what the recipe says", ("_Py_JIT" in variable("PY_CORE_CFLAGS")) == (jit != "disabled"))
# Whether it runs shows in the memory of a process that was busy: code that belongs to no file.
busy = """
for round in range(20):
    total = 0
    for number in range(20000):
        total += number & 7
maps = [line.split() for line in open("/proc/self/maps")]
print(sum(len(line) == 5 and "x" in line[1] for line in maps))
"""
emulator = os.environ["EMULATOR"].split()


def made(switch):
    environment = {**os.environ, "PYTHON_JIT": switch}
    said = subprocess.run([*emulator, sys.executable, "-c", busy], env=environment, capture_output=True, text=True, check=True)
    return int(said.stdout)


# An emulator has such memory of its own.
own = made("0") if emulator else 0
for switch, runs in ("", jit == "enabled"), ("0", False), ("1", jit != "disabled"):
    check(f"with PYTHON_JIT={switch} the JIT should run: {runs}", (made(switch) > own) == runs)
check(f"sysconfig names the compiler {variable('CC')}", variable("CC") == "gcc" and variable("LDSHARED") == "gcc -shared")
check(f"extension suffix {variable('EXT_SUFFIX')}", variable("EXT_SUFFIX") == f".{variable('SOABI')}.so" and variable("MULTIARCH") in variable("SOABI"))
check("OpenSSL looks for certificates elsewhere", ssl.get_default_verify_paths().openssl_cafile == "/etc/pki/tls/cert.pem")
check("libffi does not call back", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)(1) == 2)
frozen = {name for name in sys.modules if name.partition(".")[0] == "encodings" and sys.modules[name].__spec__.origin == "frozen"}
check(f"of the encodings only {frozen} come with the interpreter", sys.version_info < (3, 11) or {"encodings", "encodings.utf_8"} <= frozen)
check("liblzma lacks SHA-256", lzma.is_check_supported(lzma.CHECK_SHA256))
check("readline is not libedit", getattr(readline, "backend", None) == "editline" or "libedit" in readline.__doc__)
check("no uuid from the library", variable("HAVE_UUID_GENERATE_TIME_SAFE") == 1)
check("the C decimal is not in use", decimal.__libmpdec_version__ and decimal.Decimal("1.1") + 1 == decimal.Decimal("2.1"))
check("string hashing is not siphash", sys.hash_info.algorithm.startswith("siphash"))
check("time has no tzset", hasattr(time, "tzset"))
check("semaphores do not say how many are left", multiprocessing.BoundedSemaphore(3).get_value() == 3)
missing = {"sha256", "sha512", "sha3_256", "blake2b", "md5", "sm3", "ripemd160"} - hashlib.algorithms_available
check(f"hashlib lacks {missing}", not missing)
database = sqlite3.connect(":memory:")
options = {row[0] for row in database.execute("pragma compile_options")}
missing = {f"ENABLE_{name}" for name in "FTS3 FTS4 FTS5 RTREE GEOPOLY MATH_FUNCTIONS DBSTAT_VTAB".split()} - options
check(f"SQLite lacks {missing}", not missing)
check("SQLite extensions cannot be loaded", hasattr(database, "enable_load_extension"))
check("SQLite has no JSON", database.execute("select json_extract('{\"a\": 1}', '$.a')").fetchone() == (1,))
if failures:
    sys.exit("the built interpreter is wrong:\n  " + "\n  ".join(failures))
