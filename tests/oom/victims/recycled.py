"""Runs code that is thrown away at once, so that the next code object lies where the last one was."""
kept = []
for number in range(300):
    exec(compile("\n" * number + "kept.append(bytearray(100000))", "<code %d>" % number, "exec"))
