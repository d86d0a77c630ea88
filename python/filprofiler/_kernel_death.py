"""Tells the notebook why its kernel died: sends messages in the kernel's place, which appear below the cell that ran."""

import json
import time
from typing import Any, Dict, List

from . import _picture, _say

# Seconds to wait until Jupyter connects again, which usually takes a fraction of a second.
PATIENCE = 5.0
# Seconds to wait for further clients after the first has connected.
GRACE = 0.5


def publish(arguments: List[str], note: Dict[str, Any], sentence: str) -> None:
    import zmq
    from jupyter_client.session import Session

    with open(_connection_file(arguments)) as file:
        connection = json.load(file)
    session = Session(key=connection["key"].encode(), signature_scheme=connection["signature_scheme"])
    join = "-" if connection["transport"] == "ipc" else ":"
    address = "{transport}://{ip}{}{iopub_port}".format(join, **connection)
    context = zmq.Context()
    channel = context.socket(zmq.XPUB)
    try:
        channel.linger = 2000
        channel.bind(address)
        # A client that connects sends its subscription.
        if not channel.poll(int(PATIENCE * 1000)):
            return
        time.sleep(GRACE)
        parent = note.get("parent") or {}
        folder = note.get("run") or ""
        # "Kernel" in the sentence means Linux, so the Jupyter kernel is called a process here.
        text = "\nThe process behind this notebook has died.\nfil-profile: {}\nThe report: {}/index.html\n".format(
            _say.printable(sentence), _say.printable(folder)
        )
        session.send(channel, "stream", {"name": "stderr", "text": text}, parent=parent, ident=b"stream")
        shown = _picture.bundle(folder)
        if shown is not None:
            content = {"data": shown, "metadata": {}, "transient": {}}
            session.send(channel, "display_data", content, parent=parent, ident=b"display_data")
        session.send(channel, "status", {"execution_state": "idle"}, parent=parent, ident=b"status")
        time.sleep(GRACE)
    finally:
        channel.close()
        context.term()


def _connection_file(arguments: List[str]) -> str:
    for flag, value in zip(arguments, arguments[1:]):
        if flag in ("-f", "--f"):
            return value
    for argument in arguments:
        for flag in ("-f=", "--f=", "--IPKernelApp.connection_file="):
            if argument.startswith(flag):
                return argument[len(flag) :]
    raise ValueError("no connection file is named")
