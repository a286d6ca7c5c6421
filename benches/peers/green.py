"""gevent and its greenlets, to be measured. Reads lines `VERB COUNT`, and answers each with the seconds of one by the processor's
time of this thread and by the clock; for `sleepers`, with the bytes that they take, those of their page tables,
and the mappings of the process."""
import sys
import time

import gevent
import greenlet


def switch_loop(count):
    """Pairs: there and back."""
    def other():
        back = me.switch
        while True:
            back()
    me = greenlet.getcurrent()
    there = greenlet.greenlet(other).switch
    there()
    return timed(count, lambda: [None for _ in range(count) if there()])


def yields(count):
    sleep = gevent.sleep

    def body(count):
        for _ in range(count):
            sleep(0)
    return lambda greenlets: timed(count, lambda: gevent.joinall(
        [gevent.spawn(body, count // greenlets) for _ in range(greenlets)]))


def nothing():
    pass


def spawns(count):
    def loop():
        for _ in range(count):
            gevent.spawn(nothing).join()
    return timed(count, loop)


def timed(count, call):
    cpu, wall = time.thread_time(), time.perf_counter()
    call()
    return (time.thread_time() - cpu) / count, (time.perf_counter() - wall) / count


def account():
    """Resident bytes, those of the page tables, and mappings."""
    with open('/proc/self/status') as status:
        lines = dict(line.split(':', 1) for line in status)
    with open('/proc/self/maps') as maps:
        mappings = sum(1 for _ in maps)
    return *(1024 * int(lines[key].split()[0]) for key in ('VmRSS', 'VmPTE')), mappings


def sleepers(count):
    begun = 0

    def sleeper():
        nonlocal begun
        begun += 1
        gevent.sleep(3600)

    before = account()
    alive = [gevent.spawn(sleeper) for _ in range(count)]
    while begun < count:
        gevent.sleep(0.01)
    after = account()
    gevent.killall(alive)
    return after[0] - before[0], after[1] - before[1], after[2]


VERBS = {
    'switch': switch_loop,
    'yield-1': lambda count: yields(count)(1),
    'yield-10': lambda count: yields(count)(10),
    'spawn': spawns,
    'sleepers': sleepers,
}

for line in sys.stdin:
    verb, count = line.split()
    print(*VERBS[verb](int(count)), flush=True)
