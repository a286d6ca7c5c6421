"""Squares numbers until none has come for ten seconds: a plain program of Python's standard library, 2.7 or later."""
import sys
import time
from multiprocessing.managers import BaseManager

try:
    from queue import Empty
except ImportError:  # Python 2
    from Queue import Empty


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')

key = open('queue.key', 'rb').read().strip()
manager = QueueManager(address=('127.0.0.1', int(sys.argv[1])), authkey=key)
manager.connect()
tasks, results = manager.get_task_queue(), manager.get_result_queue()
try:
    while True:
        n = tasks.get(timeout=10)
        sys.stdout.write('taken: %d\n' % n)
        sys.stdout.flush()
        time.sleep(0.5)
        results.put((n, n * n))
except Empty:
    print('no more')
