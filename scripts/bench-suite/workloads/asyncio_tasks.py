"""asyncio: 10,000 tasks at once that pass messages through queues."""

import asyncio

from work import work


async def relay(source, target, messages):
    for _ in range(messages):
        await target.put(await source.get() + 1)


async def run(tasks, messages):
    queues = [asyncio.Queue() for _ in range(tasks + 1)]
    relays = [asyncio.create_task(relay(queues[i], queues[i + 1], messages)) for i in range(tasks)]
    for _ in range(messages):
        await queues[0].put(0)
    await asyncio.gather(*relays)
    return sum(queues[-1].get_nowait() for _ in range(messages))


def main():
    return asyncio.run(run(10_000, 60))


work(main)
