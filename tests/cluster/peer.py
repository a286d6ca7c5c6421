"""A stock Python program at one end of the protocol: peer.py VERB ADDRESS KEY [ARGUMENTS]

Runs under CPython 2.7 and 3.6 or later. Whatever goes wrong ends it with a traceback and a code.
"""
from __future__ import print_function

import signal
import sys
import threading
import time
from multiprocessing import current_process
from multiprocessing.managers import BaseManager, SyncManager, RemoteError

try:
    import queue
except ImportError:
    import Queue as queue

PY2 = sys.version_info[0] == 2
signal.alarm(200)


def address(text):
    if '/' in text:
        return text
    if text.startswith('@'):
        return ('\0' + text[1:]) if PY2 or sys.version_info < (3, 8) else ('\0' + text[1:])
    host, port = text.rsplit(':', 1)
    return (host, int(port))


class Manager(SyncManager):
    pass


for name in ['get_task_queue', 'get_result_queue', 'get_small', 'get_stack', 'get_sorted', 'get_joinable']:
    Manager.register(name)


def connect(where, key):
    # What a proxy that comes out of a queue takes for its key.
    current_process().authkey = key.encode('ascii')
    manager = Manager(address=address(where), authkey=key.encode('ascii'))
    manager.connect()
    return manager


def raises(kind, function, *args, **kwds):
    try:
        result = function(*args, **kwds)
    except kind as error:
        return error
    raise AssertionError('%r instead of %r' % (result, kind))


def same(a, b):
    assert a == b, '%r is not %r' % (a, b)


class Foo(object):
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Foo and self.x == other.x


class Whole(int):
    pass


try:
    import enum

    class Colour(enum.IntEnum):
        red = 1
except ImportError:
    pass


def queues(m):
    q = m.get_task_queue()
    values = [1, 'text', u'caf\xe9', b'by\xfftes', 2.5, None, True, (1, 2), [3], {'a': {1: [2]}}, set([1]),
              10**30, 2**40, Foo(5), ValueError('x'), bytearray(b'ab'), 'x' * 100000]
    for value in values:
        q.put(value)
    same(q.qsize(), len(values))
    for value in values:
        got = q.get()
        if isinstance(value, ValueError):
            same((type(got), got.args), (ValueError, ('x',)))
        else:
            same(got, value)
    assert q.empty() and not q.full()
    raises(queue.Empty, q.get_nowait)
    raises(queue.Empty, q.get, False)
    raises(queue.Empty, q.get, True, 0.05)
    raises(queue.Empty, q.get, timeout=0.05)
    raises(ValueError, q.get, timeout=-1)
    raises(TypeError, q.get, nonsense=1)
    small = m.get_small()
    small.put(1)
    small.put(2)
    assert small.full()
    raises(queue.Full, small.put_nowait, 3)
    raises(queue.Full, small.put, 3, timeout=0.05)
    same([small.get(), small.get()], [1, 2])
    stack = m.get_stack()
    for n in range(3):
        stack.put(n)
    same([stack.get() for _ in range(3)], [2, 1, 0])
    best = m.get_sorted()
    for item in [(20, 'b'), (20, 'a'), (-1, 'z')]:
        best.put(item)
    same([best.get() for _ in range(3)], [(-1, 'z'), (20, 'a'), (20, 'b')])
    best.put((1, 2))
    if not PY2:
        raises(TypeError, best.put, 'no order')
    same(best.get(), (1, 2))
    j = m.get_joinable()
    for n in range(3):
        j.put(n)
    done = []

    def work():
        for _ in range(3):
            done.append(j.get())
            j.task_done()
    worker = threading.Thread(target=work)
    worker.start()
    j.join()
    worker.join()
    same(done, [0, 1, 2])
    raises(ValueError, j.task_done)
    # One thread waits for what another puts.
    got = []
    waiter = threading.Thread(target=lambda: got.append(q.get(True, 30)))
    waiter.start()
    q.put('for the waiter')
    waiter.join()
    same(got, ['for the waiter'])
    own = m.Queue(2)
    own.put(own.qsize())
    same(own.get(), 0)
    raises((RemoteError, AttributeError), q._callmethod, 'nosuch')
    assert 'Queue' in str(q)


def locks(m):
    lock = m.Lock()
    assert lock.acquire() and not lock.acquire(False)
    got = []
    waiter = threading.Thread(target=lambda: got.append(lock.acquire()))
    waiter.start()
    lock.release()
    waiter.join()
    same(got, [True])
    # The thread is gone, and with its connection what it held.
    assert lock.acquire()
    lock.release()
    error = raises(Exception, lock.release)
    assert 'release unlocked lock' in str(error), error
    if not PY2:
        assert isinstance(error, RuntimeError)
        with lock:
            assert not lock.acquire(True, 0.05)
    r = m.RLock()
    assert r.acquire() and r.acquire(False)
    other = []
    t = threading.Thread(target=lambda: other.append(r.acquire(False)))
    t.start()
    t.join()
    same(other, [False])
    r.release()
    r.release()
    raises(RuntimeError, r.release)
    s = m.Semaphore(2)
    same([s.acquire(), s.acquire(), s.acquire(False)], [True, True, False])
    s.release()
    b = m.BoundedSemaphore(1)
    raises(ValueError, b.release)
    e = m.Event()
    assert not e.is_set()
    assert not e.wait(0.05)
    seen = []
    t = threading.Thread(target=lambda: seen.append(e.wait(30)))
    t.start()
    e.set()
    t.join()
    assert e.is_set() and seen in ([True], [None])
    e.clear()
    assert not e.is_set()
    c = m.Condition()
    items = []
    ready = m.Event()

    def consume():
        c.acquire()
        ready.set()
        while not items:
            c.wait(30)
        items.append('seen')
        c.release()
    t = threading.Thread(target=consume)
    t.start()
    ready.wait()
    c.acquire()
    items.append(1)
    c.notify()
    c.release()
    t.join()
    same(items, [1, 'seen'])
    raises(RuntimeError, c.notify)
    if not PY2:
        barrier = m.Barrier(2)
        places = []
        t = threading.Thread(target=lambda: places.append(barrier.wait(30)))
        t.start()
        places.append(barrier.wait(30))
        t.join()
        same(sorted(places), [0, 1])
        same((barrier.parties, barrier.n_waiting, barrier.broken), (2, 0, False))
        raises(threading.BrokenBarrierError, barrier.wait, 0.05)
        assert barrier.broken
        barrier.reset()
        assert not barrier.broken


def containers(m):
    d = m.dict({'a': 1})
    d['b'] = [2]
    d[(1, 2)] = 'tuple'
    same(sorted(map(str, d.keys())), sorted(map(str, ['a', 'b', (1, 2)])))
    same((d['a'], d.get('b'), d.get('c'), d.get('c', 5), len(d)), (1, [2], None, 5, 3))
    assert 'a' in d and 'z' not in d
    same(raises(KeyError, d.__getitem__, 'zz').args, ('zz',))
    raises(TypeError, d.__setitem__, [], 1)
    same(sorted(d.copy().items(), key=str), sorted(d.items(), key=str))
    d.update({'b': 3}, e=5)
    same((d['b'], d['e'], d.pop('e'), d.pop('e', 'none'), d.setdefault('f', 6)), (3, 5, 5, 'none', 6))
    del d['f']
    d[1] = 'one'
    same(d[1.0], 'one')
    del d[1]
    same(sorted(str(k) for k in d._callmethod('__iter__')), ['(1, 2)', 'a', 'b'])
    if sys.version_info >= (3, 7):
        same([k for k in d], list(d.keys()))
    d.clear()
    d['k'] = 5
    same(str(d), "{'k': 5}")
    same(d._getvalue() if hasattr(d, '_getvalue') else {'k': 5}, {'k': 5})
    l = m.list([3, 1])
    l.append(2)
    l.extend([5, 4])
    l.sort()
    same(list(l), [1, 2, 3, 4, 5])
    same((l[0], l[-1], l[1:3], len(l), l.index(4), l.count(9)), (1, 5, [2, 3], 5, 3, 0))
    raises(IndexError, l.__getitem__, 9)
    l[0] = 'first'
    l[1:3] = ['x']
    same(l[:], ['first', 'x', 4, 5])
    l.reverse()
    same((l.pop(), l.pop(0), l[:]), ('first', 5, [4, 'x']))
    raises(ValueError, l.remove, 'none')
    l.remove(4)
    l.insert(0, 0)
    l += [7]
    same(l[:] + [], [0, 'x', 7])
    same(l + [8], [0, 'x', 7, 8])
    same((l * 2)[:], [0, 'x', 7, 0, 'x', 7])
    l *= 2
    same(len(l), 6)
    del l[0]
    del l[1:]
    same(l[:], ['x'])
    assert 'x' in l
    same(repr(m.list(['a', 1.5, None])._callmethod('__repr__')), repr("['a', 1.5, None]"))
    n = m.Namespace()
    n.x = 1
    n.y = [2]
    same((n.x, n.y), (1, [2]))
    del n.y
    error = raises(AttributeError, getattr, n, 'y')
    assert 'y' in str(error)
    same(n._callmethod('__repr__'), 'Namespace(x=1)')
    same(n._getvalue().x, 1)
    v = m.Value('i', 3)
    v.value = 4
    same((v.value, v.get()), (4, 4))
    a = m.Array('i', range(5))
    a[1] = 50
    same((a[0], a[1], len(a), list(a[1:3])), (0, 50, 5, [50, 2]))
    raises((OverflowError, TypeError), a.__setitem__, 0, 2**40)
    same(list(a._getvalue()), [0, 50, 2, 3, 4])
    # A proxy within a queue.
    q = m.get_task_queue()
    q.put(l)
    again = q.get()
    same(again[:], ['x'])


def values(m):
    import array
    import collections
    import datetime
    import decimal
    import fractions
    D, F, day = decimal.Decimal, fractions.Fraction, datetime.datetime

    # One for all: a new proxy is three connections more.
    held = m.list()

    def kept(what):
        held[:] = what
        return held[:]

    def among(what, row):
        held[:] = row
        return what in held
    # What can be gone through, item by item; what cannot, or is not known, is refused.
    ring = collections.deque([1, 2, 3, 4], 3)
    ordered = collections.OrderedDict([('a', 1), ('b', 2)])
    same(m.list(ring)[:], [2, 3, 4])
    same(kept(ring), [2, 3, 4])
    same(kept(collections.deque()), [])
    same(kept(ordered), ['a', 'b'])
    same(kept(array.array('i', [1, -2])), [1, -2])
    same(kept(array.array('d', [1.5])), [1.5])
    same(kept(frozenset([7])), [7])
    same(kept('ab'), ['a', 'b'])
    same(m.dict(ordered).copy(), {'a': 1, 'b': 2})
    same(m.dict(collections.Counter('aab')).copy(), {'a': 2, 'b': 1})
    same(m.dict(collections.defaultdict(int, {'a': 5})).copy(), {'a': 5})
    same(m.dict(['ab', (1, 2)]).copy(), {'a': 'b', 1: 2})
    numbers = m.Array('i', array.array('i', [1, 2, 3]))
    numbers[0:2] = array.array('i', [7, 8])
    same(list(numbers), [7, 8, 3])
    # Nothing but an array of the same type is put in the place of a part of one.
    for wrong in [[7, 8], (7, 8), array.array('h', [7, 8]), b'ab']:
        raises(TypeError, numbers.__setitem__, slice(0, 2), wrong)
    raises(TypeError, numbers.__setitem__, 0, u'x')
    same(list(numbers), [7, 8, 3])
    import warnings
    warnings.simplefilter('ignore')
    letters = m.Array('u', u'h\xe9\U0001d11e')
    plain = array.array('u', u'h\xe9\U0001d11e')
    same((letters._getvalue(), letters[1], letters[0:2]), (plain, u'\xe9', plain[:2]))
    same(letters._callmethod('__repr__'), repr(plain) if not PY2 else letters._callmethod('__repr__'))
    letters[0] = u'z'
    letters[1:] = array.array('u', u'ab')
    same(letters._getvalue(), array.array('u', u'zab'))
    same(m.Array('u', array.array('u', u'ab'))._getvalue(), array.array('u', u'ab'))
    same(kept(array.array('u', u'ab')), [u'a', u'b'])
    for wrong in [5, u'xy']:
        raises(TypeError, letters.__setitem__, 0, wrong)
    raises((TypeError, RemoteError), m.Array, 'i', u'abc')
    raises((TypeError, RemoteError), m.Array, 'u', [5])
    raises((ValueError, RemoteError), m.Array, 'i', b'abc')
    same(m.Array('i', bytearray(b'abcd'))._getvalue(), array.array('i', [0x64636261]))
    same(m.Array('u', u'')._callmethod('__repr__'), "array('u')")
    # What is a number though its class is another.
    row = m.list(['a', 'b', 'c'])
    same((row[True], row[Whole(2)], row[Whole(1):Whole(3)], row.pop(Whole(0))), ('b', 'c', ['b', 'c'], 'a'))
    same(m.list([0] * Whole(2))[:], [0, 0])
    for wrong in [1.0, 'a', None, F(1, 1), (0,)]:
        raises(TypeError, row.__getitem__, wrong)
    if not PY2:
        same(kept(reversed([1, 2, 3])), [3, 2, 1])
        started = reversed([1, 2, 3])
        next(started)
        same(kept(started), [2, 1])
        started = iter([1, 2, 3])
        next(started)
        same(kept(started), [2, 3])
        same(kept(iter('ab')), ['a', 'b'])
        same(kept(iter(range(3))), [0, 1, 2])
        same(kept(zip('ab', [1, 2, 3])), [('a', 1), ('b', 2)])
        same(kept(enumerate('ab', 5)), [(5, 'a'), (6, 'b')])
        same(m.dict(zip('ab', [1, 2])).copy(), {'a': 1, 'b': 2})
        mixed = [0, 1, '', 'a', [], [0], None, D(0), D('0.5'), F(0, 1), {}, {1: 2}, 0.0, b'']
        same(kept(filter(None, mixed)), list(filter(None, mixed)))
        same(kept(filter(bool, enumerate([5]))), [(0, 5)])
        # No function is called.
        for lazy in [map(str, [1, 2]), filter(str, [1, 2]), filter(None, [Foo(1)])]:
            error = raises((TypeError, RemoteError), kept, lazy)
            assert 'calls a function' in str(error) or 'only its class knows' in str(error), error
        error = raises(TypeError, row.__getitem__, Colour.red)
        assert 'Colour' in str(error), error
    if (3,) < sys.version_info < (3, 14):
        import itertools
        raises((TypeError, RemoteError), kept, itertools.permutations([1, 2]))
        raises((TypeError, RemoteError), kept, itertools.product([1, 2]))
    raises((TypeError, RemoteError), kept, ValueError((1, 2)))
    raises((TypeError, RemoteError), kept, 5)
    raises((TypeError, RemoteError), m.list, 5)
    # What is equal, and what comes first.
    pairs = [(D('1.0'), D('1.00')), (D('1'), 1), (F(1, 2), 0.5), (1 + 0j, 1), (2 ** 200, float(2 ** 200)),
             (ordered, {'b': 2, 'a': 1}), (collections.Counter('aab'), {'a': 2, 'b': 1}),
             (datetime.date(2020, 1, 1), datetime.date(2020, 1, 1))]
    for a, b in pairs:
        same((a, b, among(a, [b])), (a, b, True))
        same((a, b, among(b, [a])), (a, b, True))
    for a, b in [(D('0.1'), 0.1), (D('NaN'), D('NaN')), (datetime.date(2020, 1, 1), day(2020, 1, 1))]:
        same((a, b, among(a, [b])), (a, b, False))
    same(m.dict({D('1.0'): 'x'})[1], 'x')
    same(m.dict({0.5: 'x'})[F(1, 2)], 'x')
    for row in [[day(2020, 1, 2), day(2019, 12, 31, 23), day(2019, 1, 1, 0, 0, 0, 1)],
                [datetime.date(2020, 1, 2), datetime.date(1999, 12, 31)],
                [datetime.time(5), datetime.time(4, 59, 59, 999999)],
                [datetime.timedelta(1), datetime.timedelta(-1), datetime.timedelta(0, 1, 1)],
                [D('1E+3'), D('-Infinity'), 7, D('0.001'), 2.5, D('-1.5')],
                [F(1, 2), F(1, 3), 0, 0.4], [2 ** 70, -2 ** 70, 2 ** 65, 0]]:
        held[:] = row
        held.sort()
        same(held[:], sorted(row))
    # What Python 2 has otherwise.
    if not PY2:
        for a, b in [(F(1, 2), D('0.5')), (F(1, 10), D('0.1')), (F(-7, 8), D('-0.875')), (F(1, 2), 0.5 + 0j),
                     (D('0.5'), 0.5 + 0j), ({1, 2}, {1.0, 2}), ({1}, frozenset([1])), (1 + 2j, 1 + 2j),
                     (F(10 ** 60, 3), F(10 ** 60, 3))]:
            same((a, b, among(a, [b]), among(b, [a])), (a, b, True, True))
        for a, b in [(F(1, 3), D('0.333')), (F(1, 3), D('0.3333333333333333333333333333333')), ({1}, {2}), ({1}, [1]),
                     (F(10 ** 60, 3), F(10 ** 60, 7)), (F(1, 2), 0.5 + 1j)]:
            same((a, b, among(a, [b]), among(b, [a])), (a, b, False, False))
        same(m.dict({D('0.1'): 'x'})[F(1, 10)], 'x')
        same(m.dict({F(1, 4): 'x'})[D('0.250')], 'x')
        for row in [[F(1, 3), D('0.3'), 0.4, D('0.34'), 0, F(-1, 3), D('-0.4'), D('Infinity')],
                    [{1, 2, 3}, {1, 2}, {1}, set()], [{3}, {1}, {2}], [frozenset([1, 2]), {2}],
                    [({1}, 2), ({1}, 1)], [({2}, 2), ({1}, 1)]]:
            held[:] = row
            held.sort()
            same(held[:], sorted(row))
        for row in [[1 + 0j, 2], [{1}, [1]], [D('NaN'), 1], [{}, {}]]:
            raises((TypeError, decimal.InvalidOperation), sorted, row)
            held[:] = row
            raises(TypeError, held.sort)
    best = m.get_sorted()
    jobs = [(day(2020, 1, n), 'job') for n in (3, 1, 2)]
    for job in jobs:
        best.put(job)
    same([best.get() for _ in jobs], sorted(jobs))
    # Lists are added to lists, and slices may go beyond any.
    l = m.list([1, 2, 3])
    same(l + [4], [1, 2, 3, 4])
    raises(TypeError, lambda: l + (4,))
    raises(TypeError, lambda: l + 'ab')
    if not PY2:
        same(l[0:10 ** 30], [1, 2, 3])
    raises(IndexError, lambda: l[10 ** 30])
    shared = [0]
    same(len(set(map(id, m.list([shared, shared]) * 2))), 1)
    if not PY2:
        barrier = m.Barrier(2, timeout=0.05)
        raises(threading.BrokenBarrierError, barrier.wait)


def proxies(m):
    """A proxy in the place of what it stands for, where it is gone through."""
    row, names = m.list([1, 2]), m.dict({'a': 1})
    same(m.list(row)[:], [1, 2])
    same(m.dict(names).copy(), {'a': 1})
    same(m.list(names)[:], ['a'])
    same(list(m.Array('i', row)._getvalue()), [1, 2])
    into = m.list([0])
    into.extend(row)
    into[0:1] = row
    same(into[:], [1, 2, 1, 2])
    into.extend(into)
    same(len(into), 8)
    other = m.dict(b=2)
    other.update(names)
    same(other.copy(), {'a': 1, 'b': 2})
    # What is put away stays a proxy.
    outer = m.list([row])
    outer.append(names)
    row.append(3)
    same((outer[0][:], outer[1].copy()), ([1, 2, 3], {'a': 1}))
    error = raises((TypeError, RemoteError), m.list, m.Event())
    assert 'proxy' in str(error), error


def reprs(m):
    """What is shown of values is what Python 3 shows."""
    import collections
    import datetime
    import decimal
    import fractions
    import uuid
    D, F = decimal.Decimal, fractions.Fraction
    zone = datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))
    values = [
        None, True, 0, -1, 10 ** 40, -2 ** 63,
        0.0, -0.0, 1.0, 1.5, 0.1, 1e15, 1e16, 1e17, 123456789012345678.0, 1.5e300, 5e-324, 1e-4, 1e-5, 9.999e-5, 1e22,
        2.0 ** 53, 0.1 + 0.2, 1 / 3, float('inf'), float('-inf'), float('nan'),
        1j, 1 + 2j, -0.0 + 1j, complex(1, -0.0), complex(-0.0, -1.5), complex('nan+infj'), 1e20 + 1e-7j,
        '', 'a', "it's", 'say "x"', """'both' "kinds\"""", 'back\\slash', 'a\nb\rc\td', '\x00\x1f\x7f', '\x80\xa0\xad\xff',
        'caf\xe9', '\u0394\u4e2d', '\U0001f600', '\ud800', '\u200b\u2028\ufeff', '\U000e0001', '\ue000', '\u0378', '\u3000',
        b'', b'a', b"it's", b'say "x"', b"""'both' "kinds\"""", b'\x00\n\r\t\\\x7f\xff', bytearray(b''), bytearray(b"a'b"),
        bytearray(b'back\\'),
        (), (1,), (1, 2), [], [[]], [1, [2, (3,)]], {}, {'a': [1, {2: (3,)}]}, set(), {1}, frozenset(), frozenset([1]),
        {(1, 2)}, [set(), {'x'}], {'k': {1}},
        D('1.50'), D('-0'), D('1E+3'), D('NaN'), D('Infinity'), F(1, 3), F(-7, 2), F(5),
        datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4),
        datetime.datetime(2020, 1, 2, 3, 4, 5), datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
        datetime.datetime(2020, 1, 2, 0, 0, 0, 6), datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
        datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=zone), datetime.datetime(2020, 1, 2, 3, 4, fold=1),
        datetime.time(1), datetime.time(1, 2), datetime.time(1, 2, 3), datetime.time(1, 2, 3, 4), datetime.time(0, 0, 3),
        datetime.time(1, 2, fold=1), datetime.time(1, 2, tzinfo=zone),
        datetime.timezone.utc, zone, datetime.timezone(datetime.timedelta(0, 3600), 'CET'),
        collections.deque([1, 2]), collections.deque([1, 2], 5), collections.deque(), collections.defaultdict(list, {1: [2]}),
        collections.defaultdict(int), collections.defaultdict(None, {1: 2}), collections.OrderedDict(), collections.Counter(), collections.Counter('aab'), collections.Counter('abb'),
        range(3), range(1, 5), range(0, 9, 3), range(5, 0, -1), slice(1, None, 2), Ellipsis, NotImplemented,
        uuid.UUID('12345678123456781234567812345678'),
        int, str, ValueError, collections.OrderedDict, len, Foo, ValueError('x'), ValueError(), KeyError('k'), OSError(2, 'no'), queue.Empty(),
        ValueError('a', 1), datetime.timedelta(), datetime.timedelta(1), datetime.timedelta(-1, 5),
        datetime.timedelta(1, 2, 3), datetime.timedelta(0, 0, 3), datetime.timedelta(weeks=3),
    ]
    own = [1]
    own.append(own)
    values += [own, {'own': own}]
    if sys.version_info >= (3, 12):
        values += [collections.OrderedDict([('a', 1), ('b', 2)])]
    same(m.list(values)._callmethod('__repr__'), repr(values))
    values = dict(enumerate(values))
    same(m.dict(values)._callmethod('__repr__'), repr(values))


def bookkeeping(m):
    from multiprocessing.managers import dispatch
    def ask(name, *args):
        conn = m._Client(m._address, authkey=m._authkey)
        try:
            return dispatch(conn, None, name, args)
        finally:
            conn.close()
    start = ask('number_of_objects')
    d = m.dict()
    same(ask('number_of_objects'), start + 1)
    info = ask('debug_info')
    assert '  %s:       refcount=1\n    {}' % d._token.id in info, info
    same(sorted(ask('get_methods', d._token))[:2], ['__contains__', '__delitem__'])
    del d
    same(ask('number_of_objects'), start)
    raises(Exception, ask, 'incref', 'ffff')
    raises(Exception, ask, 'nosuch')
    raises(Exception, ask, 'create', 'nosuch')


def client(where, key):
    m = connect(where, key)
    queues(m)
    locks(m)
    containers(m)
    values(m)
    proxies(m)
    # Before that, some was shown otherwise, and the fold of a time was not sent.
    if sys.version_info >= (3, 8):
        reprs(m)
    bookkeeping(m)
    print('ok')


def refused(where, key):
    from multiprocessing import AuthenticationError
    raises((AuthenticationError, EOFError, OSError, IOError), connect, where, key)
    print('ok')


def closed(where, key):
    """A queue that is shut down, to versions that have a word for that, that have none, and to the one of which it is not known."""
    q = connect(where, key).get_small()
    same(q.get(), 'last')
    if sys.version_info >= (3, 13):
        kinds = (queue.ShutDown, queue.ShutDown)
    elif sys.version_info >= (3, 12):
        kinds = (AttributeError, AttributeError)
    else:
        kinds = (queue.Empty, queue.Full)
    for call in [q.get, q.get_nowait, lambda: q.get(timeout=5)]:
        raises(kinds[0], call)
    for call in [q.put, q.put_nowait, lambda item: q.put(item, timeout=5)]:
        raises(kinds[1], call, 1)
    print('ok')


def stop(where, key):
    m = connect(where, key)
    from multiprocessing.managers import dispatch
    conn = m._Client(m._address, authkey=m._authkey)
    dispatch(conn, None, 'shutdown')
    print('ok')


def work(where, key, limit, count='-1'):
    """The worker of a plain program: takes with a limit, answers, until nothing comes."""
    m = connect(where, key)
    tasks, results = m.get_task_queue(), m.get_result_queue()
    count = int(count)
    while count:
        try:
            n = tasks.get(timeout=float(limit))
        except queue.Empty:
            break
        print('took', n)
        sys.stdout.flush()
        if count == 1:
            time.sleep(100)
        results.put((n, n * n))
        count -= 1
    print('ok')


def produce(where, key, count):
    """The producer of a plain program: puts so many, and waits for as many answers."""
    m = connect(where, key)
    tasks, results = m.get_task_queue(), m.get_result_queue()
    for n in range(int(count)):
        tasks.put(n)
    got = sorted(results.get(timeout=60) for _ in range(int(count)))
    same(got, [(n, n * n) for n in range(int(count))])
    print('ok')


def hold(where, key):
    """Takes a lock, and keeps it."""
    lock = connect(where, key).get_small()
    assert lock.acquire()
    print('held')
    sys.stdout.flush()
    time.sleep(100)


def wait(where, key):
    """Waits for an item that does not come."""
    results = connect(where, key).get_result_queue()
    same(results.qsize(), 0)
    print('waiting')
    sys.stdout.flush()
    results.get()


def meet(where, key):
    """Waits at a barrier."""
    from multiprocessing.managers import BarrierProxy
    Manager.register('get_barrier', proxytype=BarrierProxy)
    barrier = connect(where, key).get_barrier()
    same(barrier.parties, 3)
    print('waiting')
    sys.stdout.flush()
    barrier.wait()


TASKS, RESULTS, SMALL, LOCK = queue.Queue(), queue.Queue(), queue.Queue(2), threading.Lock()
VALUES, NAMES = [], {}


def get_tasks():
    return TASKS


def get_results():
    return RESULTS


def get_small():
    return SMALL


def serve(where, key):
    """A stock server, as a plain program makes one."""
    class Served(SyncManager):
        pass
    Served.register('get_task_queue', callable=get_tasks)
    Served.register('get_result_queue', callable=get_results)
    Served.register('get_small', callable=get_small)
    m = Served(address=address(where), authkey=key.encode('ascii'))
    server = m.get_server()
    at = server.address
    print(at if not isinstance(at, tuple) else '%s:%d' % at)
    sys.stdout.flush()
    signal.alarm(0)
    # Ends with whoever started it.
    def watch():
        sys.stdin.read()
        import os
        os._exit(0)
    t = threading.Thread(target=watch)
    t.daemon = True
    t.start()
    server.serve_forever()


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
