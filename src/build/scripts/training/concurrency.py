"""Waiting for several things at once: asyncio with streams, threads, queues, subprocesses, signals, context variables."""

import asyncio
import concurrent.futures
import contextvars
import queue
import socket
import subprocess
import sys
import threading
import time

request = contextvars.ContextVar("request", default="none")


async def fetch(gate, name, delay):
    request.set(name)
    async with gate:
        await asyncio.sleep(delay)
    return f"{request.get()}:{delay}"


async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def conversation(port, count):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(count):
        writer.write(b"line %d\n" % number)
        await writer.drain()
        assert (await reader.readline()).startswith(b"LINE")
    writer.close()
    await writer.wait_closed()


async def failing():
    raise LookupError("nothing here")


async def loop(rounds):
    gate = asyncio.Semaphore(5)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for number in range(rounds):
        await asyncio.gather(*(fetch(gate, f"r{n}", 0) for n in range(40)))
        assert sum([n async for n in numbers(60)]) == 1770
        await asyncio.gather(*(conversation(port, 15) for _ in range(3)))
        results = await asyncio.gather(failing(), fetch(gate, "x", 0.0001), return_exceptions=True)
        assert isinstance(results[0], LookupError)
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.0005)
        except asyncio.TimeoutError:
            pass
        items = asyncio.Queue(5)

        async def consume():
            while (item := await items.get()) is not None:
                items.task_done()
            return item

        consumer = asyncio.create_task(consume())
        for n in range(40):
            await items.put(n)
        await items.put(None)
        await consumer
        await asyncio.to_thread(time.sleep, 0)
    server.close()


def threads(rounds):
    lock, results, work = threading.Lock(), [], queue.Queue()

    def worker():
        while (item := work.get()) is not None:
            with lock:
                results.append(item * 2)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for number in range(rounds):
            started = [threading.Thread(target=worker) for _ in range(3)]
            for thread in started:
                thread.start()
            for n in range(50):
                work.put(n)
            for _ in started:
                work.put(None)
            for thread in started:
                thread.join()
            assert sum(pool.map(len, ["x" * n for n in range(30)])) == 435
            futures = [pool.submit(pow, n, 20, 97) for n in range(20)]
            assert all(future.result() < 97 for future in concurrent.futures.as_completed(futures))
    left, right = socket.socketpair()
    for number in range(rounds * 10):
        left.sendall(b"x" * 100)
        assert len(right.recv(200)) <= 200
    left.close(), right.close()
    return len(results)


def main(rounds):
    asyncio.run(loop(rounds))
    threads(rounds)
    for _ in range(3):
        said = subprocess.run([sys.executable, "-c", "print('done')"], capture_output=True, text=True, check=True)
        assert said.stdout == "done\n"


if __name__ == "__main__":
    main(int(sys.argv[1]))
