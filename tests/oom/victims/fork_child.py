"""Parent and child each hold memory of their own; the child ends first."""
import os

kept = bytearray(30 << 20)  # PARENT
child = os.fork()
if child == 0:
    more = bytearray(60 << 20)  # CHILD
    os._exit(5)
_, status = os.waitpid(child, 0)
print(os.WEXITSTATUS(status))
