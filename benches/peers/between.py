"""CPython's multiprocessing.Queue, measured a line of standard input at a time.

    COUNT PAIRS CORE...     so many 64-byte items, by as many processes that put and that get; cores, or nothing

The answer is a line: the seconds of one item.
"""
import multiprocessing
import os
import sys
import time

ITEM = bytes(64)


def place(cores, index):
    if cores:
        os.sched_setaffinity(0, {cores[index % len(cores)]})


def producer(queue, start, count, cores, index):
    place(cores, index)
    start.wait()
    for _ in range(count):
        queue.put(ITEM)


def consumer(queue, start, count, cores, index):
    place(cores, index)
    start.wait()
    for _ in range(count):
        queue.get()


def measure(count, pairs, cores):
    context = multiprocessing.get_context('fork')
    queue = context.Queue(1024)
    start = context.Barrier(2 * pairs + 1)
    each = count // pairs
    people = []
    for pair in range(pairs):
        people.append(context.Process(target=producer, args=(queue, start, each, cores, 2 * pair)))
        people.append(context.Process(target=consumer, args=(queue, start, each, cores, 2 * pair + 1)))
    for person in people:
        person.daemon = True
        person.start()
    start.wait()
    began = time.perf_counter()
    for person in people:
        person.join()
    return (time.perf_counter() - began) / (each * pairs)


for line in sys.stdin:
    numbers = [int(word) for word in line.split()]
    print(measure(numbers[0], numbers[1], numbers[2:]), flush=True)
