"""Compiles the modules that only CPython's own tests import, as anybody compiles an extension: with gcc and the image's headers.

    cd Modules && python3 test_modules.py      Modules: of the source that this interpreter was compiled from

They go where the interpreter looks for modules, and sysconfig says that they are there. Each of them is imported: a test whose
module cannot be imported is skipped without a word, and a name that the interpreter fails to export would never show.
"""

import importlib.util
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

library, headers = Path(sysconfig.get_path("stdlib")), sysconfig.get_path("include")
suffix = sysconfig.get_config_var("EXT_SUFFIX")
# What else decides how headers are read: whether there is a JIT.
defined = [word for word in sysconfig.get_config_var("CONFIGURE_CFLAGS_NODIST").split() if word.startswith("-D")]
added = []
for line in Path("Setup.stdlib.in").read_text().splitlines():
    # @MODULE__TESTBUFFER_TRUE@_testbuffer _testbuffer.c
    module = re.match(r"@MODULE_\w+_TRUE@((?:_test|_xxtest|_ctypes_test|xx)\w*) (.*)", line)
    if module:
        name, sources = module[1], module[2].split()
        flags = ["-shared", "-fPIC", "-fwrapv", "-w", "-Wl,-z,now", *defined, "-I.", f"-I{headers}", f"-I{headers}/internal"]
        subprocess.run(["gcc", *flags, "-o", library / f"lib-dynload/{name}{suffix}", *sources], check=True)
        added.append(name)
if len(added) < 10:
    sys.exit(f"Setup.stdlib.in does not name them as it did: {added}")

data = library / f"{sysconfig._get_sysconfigdata_name()}.py"
text = data.read_text()
said, says = "'TEST_MODULES': 'no'", "'TEST_MODULES': 'yes'"
if said not in text:
    sys.exit(f"{data} does not say {said}")
data.write_text(text.replace(said, says))
Path(importlib.util.cache_from_source(data)).unlink()
subprocess.run([sys.executable, "-c", f"import {', '.join(added)}"], check=True)
