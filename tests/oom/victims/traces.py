"""A debugger's and a profiler's work: every line and call that they see goes to stdout."""
import sys

seen = []


def trace(frame, event, argument):
    seen.append((event, frame.f_code.co_name, frame.f_lineno - frame.f_code.co_firstlineno))
    return trace


def profile(frame, event, argument):
    seen.append(("profile", event, frame.f_code.co_name))


def work(n):
    total = [bytearray(1 << 20) for _ in range(n)]
    for block in total:
        block[0] = 1
    return sum(map(len, total))


assert sys.gettrace() is None and sys.getprofile() is None
sys.settrace(trace)
work(5)
assert sys.gettrace() is trace
sys.settrace(None)
sys.setprofile(profile)
work(5)
assert sys.getprofile() is profile
sys.setprofile(None)
print(seen)
