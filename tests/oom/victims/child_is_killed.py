"""A worker grows until it is killed; the first process does not mind, and ends well."""
import os

kept = bytearray(5 << 20)  # PARENT
child = os.fork()
if child == 0:
    more = []
    while True:
        print(len(more) << 20, flush=True)
        more.append(bytearray(1 << 20))  # CHILD
_, status = os.waitpid(child, 0)
assert os.WIFSIGNALED(status), status
os.write(1, b"signal %d\n" % os.WTERMSIG(status))
