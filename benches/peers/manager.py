"""A stock manager and its client, to be measured: manager.py VERB ADDRESS KEY [COUNT]"""
import sys
import threading
import time
from multiprocessing.managers import BaseManager
from queue import Queue

QUEUE = Queue()


class Manager(BaseManager):
    pass


def serve(manager):
    # Ends with whoever started it.
    def watch():
        sys.stdin.read()
        import os
        os._exit(0)
    threading.Thread(target=watch, daemon=True).start()
    server = manager.get_server()
    print('ready', flush=True)
    server.serve_forever()


def calls(manager, count):
    """Puts and gets, a call each; prints the seconds of one."""
    manager.connect()
    queue = manager.get_queue()
    queue.put('warm')
    queue.get()
    start = time.perf_counter()
    for _ in range(int(count) // 2):
        queue.put('a small item')
        queue.get()
    print((time.perf_counter() - start) / int(count))


def proxies(manager, count):
    """Makes proxies; prints the seconds of one."""
    manager.connect()
    manager.get_queue()
    start = time.perf_counter()
    for _ in range(int(count)):
        manager.get_queue()
    print((time.perf_counter() - start) / int(count))


if __name__ == '__main__':
    verb, address, key = sys.argv[1:4]
    if verb == 'serve':
        Manager.register('get_queue', callable=lambda: QUEUE)
    else:
        Manager.register('get_queue')
    with open(key, 'rb') as file:
        key = file.read().strip()
    globals()[verb](Manager(address=address, authkey=key), *sys.argv[4:])
