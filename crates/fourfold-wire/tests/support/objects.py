"""Objects that are hard to pickle, and whether two pickles load as the same.

    dump            prints "name protocol hex" for each object and protocol
    compare         reads "label hex hex", prints "label ok" or "label" and what differs
    expect          reads "label name hex", compares with the object of that name

Runs under CPython 2.7 and 3.6 or later.
"""
from __future__ import print_function, unicode_literals

import binascii
import collections
import datetime
import decimal
import fractions
import functools
import io
import pickle
import signal
import sys
import types
import uuid

PY2 = sys.version_info[0] == 2
if PY2:
    import cPickle


# The names that the captured messages have in __main__.
class Foo(object):
    pass


def t():
    pass


class Plain(object):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slots(object):
    __slots__ = ('a', 'b')

    def __init__(self, a, b):
        self.a, self.b = a, b


class ListWith(list):
    pass


class DictWith(dict):
    pass


class SetWith(set):
    pass


class TupleWith(tuple):
    pass


class TextWith(type('')):
    pass


class IntWith(int):
    pass


class State(object):
    def __init__(self, x):
        self.x = x

    def __getstate__(self):
        return [self.x]

    def __setstate__(self, state):
        self.x, = state


class Keywords(object):
    """Made with keyword arguments: NEWOBJ_EX in protocol 4."""
    def __new__(cls, **kwargs):
        self = object.__new__(cls)
        self.kwargs = dict(kwargs)
        return self

    def __getnewargs_ex__(self):
        return (), {'a': 1, 'b': [2]}


class Outer(object):
    class Inner(object):
        pass


class Setter(object):
    """Its state is set by a function of its own: the sixth part of __reduce__, since 3.8."""
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return Setter, (0,), self.x, None, None, set_x


def set_x(obj, x):
    obj.x = x


class Cyclic(object):
    """Its arguments contain it again by way of a list."""
    def __init__(self, parts):
        self.parts = parts

    def __reduce__(self):
        return Cyclic, (self.parts,)


class Key(object):
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return 7

    def __eq__(self, other):
        return type(other) is Key and self.__dict__.get('name') == other.__dict__.get('name')


if PY2:
    class Old:
        def __init__(self):
            self.a = 1

    class OldArgs:
        def __init__(self, a):
            self.a = a

        def __getinitargs__(self):
            return self.a,

Point = collections.namedtuple(str('Point'), 'x y')

CASES = collections.OrderedDict()
CROSS = set()


def case(build, cross=False):
    CASES[build.__name__] = build
    if cross:
        CROSS.add(build.__name__)
    return build


def both(build):
    """For objects that the same program text makes in either Python."""
    return case(build, True)


@both
def scalars():
    return [None, True, False, 0, 1, -1, 255, 256, 65535, 65536, -129, 2**31 - 1, -2**31,
            0.0, -0.0, 1.5, 1e300, float('inf'), -float('inf')]


@both
def large_numbers():
    return [2**31, -2**31 - 1, 2**53, 2**63 - 1, -2**63, 2**63, -2**63 - 1, 2**64, 10**30,
            -10**30, 256**255 + 1, 256**300, -256**300, 2**2047, -2**2047, -2**2039]


@both
def nan():
    return float('nan')


@both
def texts():
    return ['caf\xe9', '\u20ac', '\U0001f600', 'a\\b\n\r\x00\x1a', '\\u0041', '\xe9' * 300,
            '\\\\u00e9\\', '\u2028']


@case
def ascii_texts():
    return ['', 'abc', 'x' * 255, 'x' * 256, 'x' * 70000]


@case
def lone_surrogates():
    return ['\ud800', 'a\udfffb', '\udc80', '\ud83d \ude00']


@case
def byte_strings():
    return [b'', b'abc', b'\x00\xff\n\'"\\', b'\xe9' * 300, b'y' * 256, bytes(bytearray(range(256)))]


@both
def byte_arrays():
    return [bytearray(), bytearray(b'abc'), bytearray(range(256))]


@both
def containers():
    return [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], [1, 2], {}, {1: 2}, {1: 2, 3: 4},
            set(), set([1]), set([1, 2]), frozenset(), frozenset([1]), frozenset([1, 2])]


@both
def many():
    return [list(range(2500)), dict((n, -n) for n in range(2500)), set(range(2500)),
            tuple(range(300))]


@both
def shared():
    a, b = [1], {2: 3}
    c = (a, b)
    text = '\u20acshared'
    return [a, a, b, b, c, c, [c, a], text, text, bytearray(b'z')]


# Some picklers of Python 3 forget in protocol 5 that a bytearray is shared.
@case
def shared_byte_arrays():
    return [bytearray(b'y')] * 2


@both
def shared_sets():
    s, f = set([1]), frozenset([2])
    return [s, s, f, f, (s, f)]


@both
def recursive_list():
    a = [1]
    a.append(a)
    return a


@both
def recursive_tuples():
    results = []
    for n in (1, 2, 3, 5):
        a = []
        x = tuple([a] * n)
        a.append(x)
        results.append(x)
    return results


@both
def recursive_dict():
    d = {1: 2}
    d[3] = d
    d[4] = (d, [d])
    return d


@both
def recursive_object():
    a, b = Plain(), Plain()
    a.other, b.other, a.me = b, a, a
    return a


@both
def recursive_set():
    k = Key('k')
    k.members = set([k, 1])
    return k


@both
def recursive_frozenset():
    k = Key('k')
    k.members = frozenset([k, 1])
    return k.members


@both
def recursive_arguments():
    c = Cyclic([])
    c.parts.append(c)
    return c


@both
def deep():
    x = []
    for _ in range(90):
        x = [x, (x,)] if _ % 2 else {1: x}
    return x


@both
def plain_objects():
    a = Plain(x=1, y=[2])
    return [a, a, Plain(), Foo()]


@both
def subclasses():
    result = [ListWith([1, 2]), DictWith({1: 2}), SetWith([1, 2]), TupleWith((1, 2)),
              TextWith('caf\xe9')]
    for x in result:
        x.note = [1, x]
    return result


# To Python 3, int is what Python 2 calls long.
@case
def ints():
    x = IntWith(5)
    x.note = [1, x]
    return [x, int, functools.partial(int, base=2)]


# What Python 2 calls IOError, Python 3 has as OSError; zip is another thing in either.
@case
def names_that_changed():
    return [IOError(2, '\u20ac'), IOError, zip]


@both
def stateful():
    return [State(1), State([1])]


@both
def collections_():
    d = collections.defaultdict(list)
    d[1].append(2)
    o = collections.OrderedDict([(3, 1), (1, 2)])
    o.attribute = 5
    q = collections.deque([1, 2, 3], 3)
    return [d, o, q, collections.deque(), collections.deque([1], 5), collections.Counter([1, 1]),
            Point(1, [2])]


@both
def recursive_collections():
    d = collections.defaultdict(list)
    d[1] = d
    q = collections.deque([1])
    q.append(q)
    return [d, q]


@both
def partials():
    p = functools.partial(max, 1, default=[2])
    p.note = 1
    return [p, functools.partial(max, key=len)]


@both
def values():
    return [decimal.Decimal('1.50'), fractions.Fraction(1, 3), complex(1, -0.0),
            uuid.UUID(int=5), datetime.timedelta(1, 2, 3)]


@both
def dates():
    return [datetime.date(2200, 1, 2), datetime.datetime(2000, 1, 2, 3, 4, 5, 200000)]


@both
def exceptions():
    e = ValueError('\u20ac', 1)
    e.attribute = [e]
    return [e, KeyError(1), OSError(2, '\u20ac'), StopIteration(), Exception()]


@both
def classes():
    return [Plain, ValueError, dict, max, collections.OrderedDict, OSError, t]


@both
def range_and_friends():
    return [object(), reversed, range if not PY2 else xrange]


if PY2:
    @case
    def old_style():
        o = Old()
        o.me = o
        return [o, OldArgs([1]), OldArgs('x')]

    @case
    def kinds_of_text():
        return [b'abc', 'abc', b'caf\xe9', {b'a': 'a', 'b': b'b'}, 5, long(5), long(0), long(-1)]

    @case
    def xranges():
        return [xrange(5), xrange(1, 10, 3)]
else:
    @case
    def keywords():
        return [Keywords(a=1, b=[2])]

    @case
    def nested_class():
        i = Outer.Inner()
        i.cls = Outer.Inner
        return [i, Outer.Inner]

    @case
    def ranges():
        return [range(5), slice(1, None, 3), Ellipsis, NotImplemented, type(None)]

    @case
    def iterators():
        return [iter([1, 2]), iter((1, 2)), zip([1], [2]), enumerate([1])]

    @case
    def byte_kinds():
        b = b'shared bytes'
        return {b: b, b'': bytearray(b), 'text': b'\xff' * 300}

    @case
    def exception_with_notes():
        e = ValueError('x')
        e.__notes__ = ['one', '\ud800']
        return e

    @case
    def os_errors():
        return [FileNotFoundError(2, 'no', 'name'), BrokenPipeError(), TimeoutError(),
                UnicodeDecodeError('utf-8', b'\xff', 0, 1, 'bad')]

    if sys.version_info >= (3, 8):
        @case
        def state_setter():
            return [Setter([1]), Setter(Setter(2))]

    if sys.version_info >= (3, 11):
        @case
        def exception_group():
            return ExceptionGroup('many', [ValueError(1), KeyError('k')])


# Comparing

class Proxy(object):
    """Stands for what RebuildProxy would make, which connects to a server."""
    def __init__(self, *args):
        self.args = args


HERE = dict(globals())


def find(module, name):
    if (module, name) == ('multiprocessing.managers', 'RebuildProxy'):
        return Proxy
    if module == '__main__' and name in HERE:
        return HERE[name]
    __import__(module)
    result = sys.modules[module]
    for part in name.split('.'):
        result = getattr(result, part)
    return result


if not PY2:
    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ('multiprocessing.managers', 'RebuildProxy'):
                return Proxy
            return pickle.Unpickler.find_class(self, module, name)


def loads(data):
    """As the interpreter itself loads it, but for RebuildProxy."""
    if PY2:
        unpickler = cPickle.Unpickler(io.BytesIO(data))
        unpickler.find_global = find
        return unpickler.load()
    return Unpickler(io.BytesIO(data)).load()


ATOMS = (type(None), bool, int, float, complex, bytes, type(''), type, type(Ellipsis))
if PY2:
    ATOMS += (long, )


def describe(root, loosely=False):
    """The graph of an object as a list of nodes that can be compared with ==.

    Loosely means that what Python 3 has one word for is one to Python 2 as well: int and long, and
    ASCII text as str or unicode.
    """
    nodes, numbers, alive = [], {}, []

    def visit(x):
        if PY2 and loosely:
            if type(x) is long:
                return ('int', repr(x).rstrip('L'))
            if type(x) is type('') and all(ord(c) < 128 for c in x):
                x = x.encode('ascii')
        if type(x) in ATOMS or x is NotImplemented:
            return (type(x).__name__, repr(x))
        if id(x) in numbers:
            return numbers[id(x)]
        number = numbers[id(x)] = len(nodes)
        alive.append(x)
        nodes.append(None)
        todo.append((number, x))
        return number

    def node(x):
        kind = type(x)
        if kind in (list, tuple):
            return kind.__name__, [visit(y) for y in x]
        if kind is bytearray:
            return kind.__name__, bytes(x)
        if kind in (set, frozenset):
            return kind.__name__, [visit(y) for y in sorted(x, key=rank)]
        if kind is dict:
            keys = sorted(x, key=rank) if PY2 or loosely else list(x)
            return kind.__name__, [(visit(k), visit(x[k])) for k in keys]
        if PY2 and kind is types.InstanceType:
            return x.__class__.__name__, visit(x.__dict__)
        try:
            parts = x.__reduce_ex__(2)
        except TypeError:
            return kind.__name__, repr(x)
        if not isinstance(parts, tuple):
            return kind.__name__, parts
        parts = [list(p) if not isinstance(p, type) and (
            hasattr(p, '__next__') or hasattr(p, 'next')) else p for p in parts]
        if isinstance(x, (set, frozenset)):
            parts[1] = sorted(x, key=rank)
        return kind.__name__, [visit(p) for p in parts]

    def rank(x):
        return type(x).__name__, repr(x) if type(x) in ATOMS else ''

    todo = []
    top = visit(root)
    while todo:
        number, x = todo.pop()
        nodes[number] = node(x)
    return top, nodes


def first_difference(a, b):
    if a == b:
        return None
    if a[0] != b[0]:
        return repr(a[0])[:300] + ' / ' + repr(b[0])[:300]
    for x, y in zip(a[1], b[1]):
        if x != y:
            return repr(x)[:300] + ' / ' + repr(y)[:300]
    return 'another number of parts: %d / %d' % (len(a[1]), len(b[1]))


def out(text):
    if PY2:
        text = text.encode('ascii', 'backslashreplace')
    else:
        text = text.encode('ascii', 'backslashreplace').decode('ascii')
    print(text)


def check(label, make_a, make_b, loosely=False):
    try:
        difference = first_difference(describe(make_a(), loosely), describe(make_b(), loosely))
    except Exception as e:
        out('%s raises %s: %s' % (label, type(e).__name__, repr(e)))
        return
    out('%s ok' % label if difference is None else '%s differs: %s' % (label, difference))


def main():
    signal.alarm(120)
    sys.setrecursionlimit(10000)
    verb = sys.argv[1]
    if verb == 'dump':
        for name, build in CASES.items():
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                for kind, module in ('c', cPickle if PY2 else pickle), ('py', pickle):
                    if kind == 'py' and not PY2:
                        stream = io.BytesIO()
                        pickle._Pickler(stream, protocol).dump(build())
                        data = stream.getvalue()
                    else:
                        try:
                            data = module.dumps(build(), protocol)
                        except Exception:
                            # What this pickler has no word for in this protocol.
                            continue
                    cross = 'cross' if name in CROSS else 'own'
                    out('%s %d %s %s %s' % (
                        name, protocol, kind, cross, binascii.hexlify(data).decode('ascii')))
        return
    for line in sys.stdin:
        fields = line.split()
        if not fields:
            continue
        if verb == 'compare':
            label, a, b = fields
            check(label, lambda: loads(binascii.unhexlify(a)), lambda: loads(binascii.unhexlify(b)))
        elif verb == 'expect':
            label, name, b = fields
            check(label, CASES[name], lambda: loads(binascii.unhexlify(b)), True)


if __name__ == '__main__':
    main()
