"""Runs one command and prints {"seconds", "cpu_seconds", "peak_bytes", "status"} as JSON.

Started by processes.py as a file. The standard library alone: a child's peak memory counts what its parent
held when it forked, so that the parent must be small.
"""

import json
import os
import subprocess
import sys
import time


def main(command: list[str]) -> int:
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = processor = None
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        processor = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    else:
        child.wait()
    seconds = time.perf_counter() - begin
    found = {"seconds": seconds, "cpu_seconds": processor, "peak_bytes": peak, "status": child.returncode}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
