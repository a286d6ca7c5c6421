"""Puts ten numbers and waits for ten results: a plain program of Python's standard library, 2.7 or later."""
import sys
from multiprocessing.managers import BaseManager


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')

key = open('queue.key', 'rb').read().strip()
manager = QueueManager(address=('127.0.0.1', int(sys.argv[1])), authkey=key)
manager.connect()
tasks, results = manager.get_task_queue(), manager.get_result_queue()
for n in range(10):
    tasks.put(n)
answers = [results.get(timeout=60) for _ in range(10)]
for n, square in sorted(answers):
    print('%d * %d = %d' % (n, n, square))
