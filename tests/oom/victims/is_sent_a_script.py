"""Lets another Python send it a script: is_sent_a_script.py SCRIPT (3.14 on)."""

import builtins
import os
import subprocess
import sys

code = "import sys; sys.remote_exec({}, {!r})".format(os.getpid(), sys.argv[1])
sender = subprocess.Popen([sys.executable, "-c", code])
while not hasattr(builtins, "sent"):
    assert sender.poll() in (None, 0), "it cannot be sent"
sender.wait()
print(len(builtins.sent))
