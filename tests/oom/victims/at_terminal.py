"""What a person does in a shell at a terminal: starts a program, types, stops it, goes on, interrupts it.

The arguments are the command line of the program, which is `in_terminal.py`, under fil-profile or on its own.
"""
import os
import pty
import select
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])

said = b""


def wait_for(text):
    """Reads on until the terminal shows `text`."""
    global said
    while text not in said:
        if not select.select([terminal], [], [], 30)[0]:
            sys.exit("no %r in %r" % (text, said))
        said += os.read(terminal, 4096)
    said = said.split(text, 1)[1]


def type_in(text):
    os.write(terminal, text)


type_in(b"PS1=; " + " ".join(sys.argv[1:]).encode() + b"\n")
wait_for(b"ready")
type_in(b"hello\n")
wait_for(b"got hello")
type_in(b"\x1a")
wait_for(b"Stopped")
print("stopped")
type_in(b"fg\n")
type_in(b"again\n")
wait_for(b"got again")
print("went on")
type_in(b"\x03")
wait_for(b"interrupted once")
type_in(b"echo status=$?\n")
wait_for(b"status=8\r\n")
print("ended with 8")
type_in(b"exit\n")
