"""Names its phases; holds the most in the second, and comes back to the first."""

import filprofiler

filprofiler.mark("load")
kept = bytearray(20 << 20)
filprofiler.mark("fit it")
brief = bytearray(60 << 20)
del brief
filprofiler.mark("load")
more = bytearray(10 << 20)
filprofiler.mark("save")
print(30 << 20)
