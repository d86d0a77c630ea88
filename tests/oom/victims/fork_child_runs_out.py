"""The child runs out and dies of it; the parent ends well."""
import os

kept = bytearray(30 << 20)  # PARENT
child = os.fork()
if child == 0:
    more = []
    while True:
        more.append(bytearray(1 << 20))  # CHILD
_, status = os.waitpid(child, 0)
print("child", os.WEXITSTATUS(status))
