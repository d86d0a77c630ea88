"""Holds memory in functions and files whose names are markup."""

SCRIPT = "</script><script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>.py"


def hold(size):
    return bytearray(size)


code = compile("def inner(size):\n    return hold(size)\n", IMAGE, "exec")
names = {"hold": hold}
exec(code, names)
inner = names["inner"]
if hasattr(inner.__code__, "replace"):
    inner.__code__ = inner.__code__.replace(co_name=SCRIPT)
kept = [inner(4 << 20) for _ in range(5)]
print(sum(map(len, kept)))
