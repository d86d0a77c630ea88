"""As many call sites as its argument says, each holding something."""
import sys

kept = []
for number in range(int(sys.argv[1])):
    name = "function_with_a_long_name_%d" % number
    exec("def %s():\n    kept.append(bytes(%d))\n%s()" % (name, 1000 + number % 7, name))
held = bytearray(b"x") * (30 << 20)  # HERE
print("end")
